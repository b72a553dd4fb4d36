//! The command that takes a run's samples once more, in the same order.

use crate::judge::Results;

/// The command as it was typed, with the seed.
pub(super) fn command(results: &Results) -> String {
    let mut words: Vec<String> = results
        .command
        .iter()
        .map(|word| shell_quoted(word))
        .collect();
    let has_seed = results
        .command
        .iter()
        .any(|word| word == "--seed" || word.starts_with("--seed="));
    if !has_seed {
        words.push(format!("--seed {}", results.seed));
    }
    words.join(" ")
}

fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn the_repeated_command_is_safe_to_paste_and_has_the_seed_once() {
        let mut results = example::results();
        results.command = ["apitap-bench", "run", "it's", "a b", ""]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(
            command(&results),
            r"apitap-bench run 'it'\''s' 'a b' '' --seed 42"
        );
        results.command = ["apitap-bench", "run", "--seed=42"]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(command(&results), "apitap-bench run --seed=42");
    }
}

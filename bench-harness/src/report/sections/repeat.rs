//! The command that takes a run's samples once more, in the same order.

/// The `command` as it was typed, with the seed.
pub(crate) fn repeated(command: &[String], seed: u64) -> String {
    let mut words: Vec<String> = command.iter().map(|word| shell_quoted(word)).collect();
    let has_seed = command
        .iter()
        .any(|word| word == "--seed" || word.starts_with("--seed="));
    if !has_seed {
        words.push(format!("--seed {seed}"));
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

    #[test]
    fn the_repeated_command_is_safe_to_paste_and_has_the_seed_once() {
        let command = ["apitap-bench", "run", "it's", "a b", ""].map(str::to_owned);
        assert_eq!(
            repeated(&command, 42),
            r"apitap-bench run 'it'\''s' 'a b' '' --seed 42"
        );
        let command = ["apitap-bench", "run", "--seed=42"].map(str::to_owned);
        assert_eq!(repeated(&command, 42), "apitap-bench run --seed=42");
    }
}

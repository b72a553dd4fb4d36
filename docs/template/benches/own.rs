// `cargo bench` compares two ways of your own code.

use anyhow::{Result, ensure};
use bench_harness::{Comparison, Verdict};
use my_load::{new_keys_in_list, new_keys_in_set};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // 4,000 rows, in which each key comes twice.
    let keys: Vec<u64> = (0..4_000).map(|row| row % 2_000).collect();
    // Every run of every arm must return the same number, or it did other work.
    let compared = Comparison::new("new keys among 4,000 rows")
        .arm("list", async || Ok(new_keys_in_list(&keys) as u64))
        .arm("set", async || Ok(new_keys_in_set(&keys) as u64))
        .blocks(12)
        .run()
        .await?;
    println!("{compared}");
    // Without this the figures are only shown; with it, CI fails when a set is no longer faster.
    let set = compared.against_first("set").map(|set| set.verdict);
    ensure!(
        set == Some(Verdict::Improved),
        "a set is not faster than a list: {set:?}"
    );
    Ok(())
}

//! Code of yours that can do the same in two ways.

use std::collections::HashSet;

/// How many of `keys` are new, looked up in a list.
pub fn new_keys_in_list(keys: &[u64]) -> usize {
    let mut known = Vec::new();
    for key in keys {
        if !known.contains(key) {
            known.push(*key);
        }
    }
    known.len()
}

/// The same, looked up in a set.
pub fn new_keys_in_set(keys: &[u64]) -> usize {
    let mut known = HashSet::new();
    keys.iter().filter(|key| known.insert(**key)).count()
}

//! The names of decisions: random UUIDs.

use std::cell::RefCell;

use uuid::{Builder, Uuid};

/// Random bytes that were not used yet. A call to Envoy costs more than many bytes of it.
#[derive(Debug, Default)]
pub(crate) struct Ids(RefCell<Vec<u8>>);

/// Bytes that are asked for at once.
const BATCH: usize = 64 * size_of::<uuid::Bytes>();

impl Ids {
    /// Another name.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn next(&self) -> Result<Uuid, getrandom::Error> {
        let mut unused = self.0.borrow_mut();
        if unused.is_empty() {
            let mut batch = vec![0; BATCH];
            getrandom::fill(&mut batch)?;
            *unused = batch;
        }
        let mut bytes = uuid::Bytes::default();
        let rest = unused.len().saturating_sub(bytes.len());
        for (byte, unused) in bytes.iter_mut().zip(unused.drain(rest..)) {
            *byte = unused;
        }
        Ok(Builder::from_random_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_is_given_twice() {
        let ids = Ids::default();
        let names: HashSet<_> = (0..1000).map(|_| ids.next().unwrap()).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| name.get_version_num() == 4));
        assert!(!names.contains(&Builder::from_random_bytes([0; 16]).into_uuid()));
    }
}

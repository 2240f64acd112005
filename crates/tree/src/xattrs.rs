//! Extended attributes.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The one attribute a layer carries: a file capability.
pub const CAPABILITY: &[u8] = b"security.capability";

/// Extended attributes by name, both as bytes. One null pointer when there are
/// none, shared between clones otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Xattrs(Option<Arc<Map>>);

type Map = BTreeMap<Box<[u8]>, Box<[u8]>>;

impl Xattrs {
    /// No attributes.
    pub const EMPTY: Self = Self(None);

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The value of one attribute.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&[u8]> {
        self.0.as_ref()?.get(name.as_ref()).map(|value| &**value)
    }

    /// The value of `security.capability`.
    pub fn capability(&self) -> Option<&[u8]> {
        self.get(CAPABILITY)
    }

    /// Sets one attribute.
    pub fn insert(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let map = Arc::make_mut(self.0.get_or_insert_default());
        map.insert(name.as_ref().into(), value.as_ref().into());
    }

    /// Removes one attribute, and tells whether it was there.
    pub fn remove(&mut self, name: impl AsRef<[u8]>) -> bool {
        let Some(shared) = self
            .0
            .as_mut()
            .filter(|map| map.contains_key(name.as_ref()))
        else {
            return false;
        };
        let map = Arc::make_mut(shared);
        map.remove(name.as_ref());
        if map.is_empty() {
            self.0 = None;
        }
        true
    }

    /// Names and values in byte order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .flat_map(|map| map.iter())
            .map(|(name, value)| (&**name, &**value))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |map| map.len())
    }
}

impl<N: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(N, V)> for Xattrs {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(attributes: I) -> Self {
        let mut xattrs = Self::EMPTY;
        for (name, value) in attributes {
            xattrs.insert(name, value);
        }
        xattrs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptied_attributes_equal_none() {
        let mut xattrs: Xattrs = [("user.a", "1")].into_iter().collect();
        assert_eq!(xattrs.get("user.a"), Some(&b"1"[..]));
        assert!(!xattrs.remove("user.b"));
        assert!(xattrs.remove("user.a"));
        assert_eq!(xattrs, Xattrs::EMPTY);
    }

    #[test]
    fn clones_do_not_share_edits() {
        let first: Xattrs = [("user.a", "1")].into_iter().collect();
        let mut second = first.clone();
        second.insert("user.a", "2");
        assert_eq!(first.get("user.a"), Some(&b"1"[..]));
        assert_eq!(second.len(), 1);
    }
}

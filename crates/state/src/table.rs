//! A table of rows on a persistent map: a copy is a pointer copy, and its hash is kept up on each change.

use std::{borrow::Borrow, sync::Arc};

use imbl::{OrdMap, ordmap::DiffItem};
use prost::Message;
use xxhash_rust::xxh3::xxh3_128;

/// The sum, modulo 2^128, of the hashes of a table's rows: the same whatever order they came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TableHash(pub u128);

/// Rows by key. `V` is a prost message whose encoding is canonical (maps are B-trees).
#[derive(Clone)]
pub struct Table<K, V> {
    /// Part of each row's hash, so that two tables never cancel each other out. Also its section in a snapshot.
    number: u8,
    rows: OrdMap<K, Arc<V>>,
    hash: TableHash,
}

impl<K: Ord + Clone, V: Message + Default> Table<K, V> {
    /// An empty table. `number` is for ever, as the command numbers are.
    pub fn new(number: u8) -> Self {
        Table { number, rows: OrdMap::new(), hash: TableHash::default() }
    }

    /// The table's number.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The row of `key`.
    pub fn get<Q>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.rows.get(key)
    }

    /// Puts a row in place of the one before.
    pub fn put(&mut self, key: K, row: Arc<V>) {
        self.hash.0 = self.hash.0.wrapping_add(self.row_hash(&row));
        if let Some(old) = self.rows.insert(key, row) {
            self.hash.0 = self.hash.0.wrapping_sub(self.row_hash(&old));
        }
    }

    /// Takes a row out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let old = self.rows.remove(key)?;
        self.hash.0 = self.hash.0.wrapping_sub(self.row_hash(&old));
        Some(old)
    }

    /// Rows in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.rows.iter()
    }

    /// Keys whose rows are not those of `before`. Costs what changed: what two versions share is passed over.
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a K>
    where
        V: PartialEq,
    {
        before.rows.diff(&self.rows).map(|item| match item {
            DiffItem::Add(key, _) | DiffItem::Remove(key, _) | DiffItem::Update { new: (key, _), .. } => key,
        })
    }

    /// Rows in key order, from `range`.
    pub fn range<R, Q>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &Arc<V>)>
    where
        R: std::ops::RangeBounds<Q>,
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.rows.range(range)
    }

    /// The row of the lowest key.
    pub fn first(&self) -> Option<(&K, &Arc<V>)> {
        self.rows.get_min().map(|(key, row)| (key, row))
    }

    /// The row of the highest key.
    pub fn last(&self) -> Option<(&K, &Arc<V>)> {
        self.rows.get_max().map(|(key, row)| (key, row))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The hash over all rows. A row holds its key, so the key needs no place of its own.
    pub fn hash(&self) -> TableHash {
        self.hash
    }

    /// The hash over all rows, computed anew.
    pub(crate) fn recomputed_hash(&self) -> TableHash {
        TableHash(self.rows.values().fold(0, |sum, row| sum.wrapping_add(self.row_hash(row))))
    }

    fn row_hash(&self, row: &V) -> u128 {
        let mut bytes = Vec::with_capacity(1 + row.encoded_len());
        bytes.push(self.number);
        row.encode(&mut bytes).expect("a Vec takes any length");
        xxh3_128(&bytes)
    }
}

//! The settings that bound a zone's size.

/// How much a zone may hold; 0 means no limit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    /// Records (`max-records`).
    pub records: u32,
    /// Records of an RRset (`max-records-per-type`).
    pub records_per_type: u32,
    /// Types of a name (`max-types-per-name`).
    pub types_per_name: u32,
}

impl Default for Limits {
    /// The defaults of `named -C`.
    fn default() -> Limits {
        Limits { records: 0, records_per_type: 100, types_per_name: 100 }
    }
}

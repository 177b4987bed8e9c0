//! Fuzzes names with any octets, in wire form and as text: a valid name must survive conversion to the other form and
//! back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zonefmt::{Name, NameRef};

fuzz_target!(|octets: &[u8]| {
    if let Ok(name) = NameRef::from_wire(octets) {
        let text = name.to_string();
        let again = Name::from_ascii(&text).expect("what was printed can be read");
        assert_eq!(again.as_ref().as_wire(), octets, "{text}");
    }
    if let Ok(name) = Name::from_ascii(octets) {
        NameRef::from_wire(name.as_ref().as_wire()).expect("what was read is a name");
        assert_eq!(Name::from_ascii(name.to_string()).expect("what was printed can be read"), name);
    }
});

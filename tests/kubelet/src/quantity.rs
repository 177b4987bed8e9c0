//! Quantities of Kubernetes as numbers: `64Mi`, `500m`, `1e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Suffixes, and what they multiply by.
const SUFFIXES: [(&str, f64); 14] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("", 1.0),
];

/// The number that a quantity is, as exact as 53 bits are. The API server has refused what is none.
pub(crate) fn number(quantity: &Quantity) -> f64 {
    let text = quantity.0.as_str();
    let number = SUFFIXES.iter().find_map(|(suffix, factor)| {
        let number: f64 = text.strip_suffix(suffix)?.parse().ok()?;
        Some(number * factor)
    });
    number.unwrap_or(0.0)
}

/// A quantity in whole units of a divisor, rounded up.
#[allow(clippy::cast_sign_loss, reason = "it is a maximum with zero")]
pub(crate) fn in_units(quantity: &Quantity, divisor: Option<&Quantity>) -> u64 {
    let divisor = divisor.map(number).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    // A thousandth counted a thousand times is one, not a little more.
    (number(quantity) / divisor - 1e-9).ceil().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_and_divided() {
        for (quantity, divisor, units) in [
            ("64Mi", None, 67_108_864),
            ("1e3", None, 1000),
            ("1500m", None, 2),
            ("1500m", Some("1m"), 1500),
            ("1Gi", Some("1Mi"), 1024),
            ("2", Some("0"), 2),
        ] {
            let divisor = divisor.map(|divisor: &str| Quantity(divisor.into()));
            assert_eq!(in_units(&Quantity(quantity.into()), divisor.as_ref()), units, "{quantity}");
        }
    }
}

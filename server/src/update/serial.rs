//! The serial that a zone gets with a change: `serial-update-method`.

use jiff::Zoned;
use zonefmt::Serial;

/// How the serial of a changed zone is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum SerialMethod {
    /// The next one.
    #[default]
    Increment,
    /// The second since 1970, if that is later than the current serial (RFC 1982), or else the next one.
    UnixTime,
    /// YYYYMMDD00 for today in local time, if that is later than the current serial, or else the next one.
    Date,
}

impl SerialMethod {
    /// The serial after `serial`. It is never 0, which some servers read as "none".
    #[must_use]
    pub fn next(self, serial: Serial, now: &Zoned) -> Serial {
        let wanted = match self {
            SerialMethod::Increment => None,
            SerialMethod::UnixTime => u32::try_from(now.timestamp().as_second()).ok(),
            SerialMethod::Date => {
                let date = now.date();
                let day = i64::from(date.year()) * 10_000 + i64::from(date.month()) * 100 + i64::from(date.day());
                u32::try_from(day * 100).ok()
            }
        };
        wanted.map(Serial).filter(|&wanted| wanted.0 != 0 && wanted > serial).unwrap_or(serial.next())
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, civil::date, tz::TimeZone};

    use super::*;

    #[test]
    fn the_next_serial_is_later() {
        let now = date(2026, 11, 21).at(23, 30, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        let second = u32::try_from(now.timestamp().as_second()).unwrap();
        let next = |method: SerialMethod, serial| method.next(Serial(serial), &now).0;
        assert_eq!(next(SerialMethod::Increment, 7), 8);
        assert_eq!(next(SerialMethod::Increment, u32::MAX), 1, "RFC 1982 and BIND skip 0");
        assert_eq!(next(SerialMethod::UnixTime, 7), second);
        assert_eq!(next(SerialMethod::UnixTime, second), second + 1);
        assert_eq!(next(SerialMethod::UnixTime, second + 5), second + 6);
        assert_eq!(next(SerialMethod::UnixTime, second.wrapping_add(0x8000_0001)), second, "later on the circle");
        assert_eq!(next(SerialMethod::Date, 7), 2_026_112_100);
        assert_eq!(next(SerialMethod::Date, 2_026_112_100), 2_026_112_101);
        assert_eq!(next(SerialMethod::Date, 2_026_112_199), 2_026_112_200);
        assert_eq!(next(SerialMethod::Date, 4_026_112_100), 4_026_112_101);
    }

    #[test]
    fn the_date_is_the_local_one() {
        let east = TimeZone::fixed(jiff::tz::offset(14));
        let now = Timestamp::from_second(1_795_284_000).unwrap();
        let utc = now.to_zoned(TimeZone::UTC);
        assert_eq!(utc.date(), date(2026, 11, 21));
        assert_eq!(SerialMethod::Date.next(Serial(1), &utc).0, 2_026_112_100);
        assert_eq!(SerialMethod::Date.next(Serial(1), &now.to_zoned(east)).0, 2_026_112_200);
    }

    #[test]
    fn times_that_do_not_fit_are_not_used() {
        let early = Timestamp::from_second(-1).unwrap().to_zoned(TimeZone::UTC);
        assert_eq!(SerialMethod::UnixTime.next(Serial(5), &early).0, 6);
        let late = date(9999, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).unwrap();
        assert_eq!(SerialMethod::Date.next(Serial(5), &late).0, 6);
    }
}

//! Random updates.

use bindy_tests::update::Shown;
use fastrand::Rng;

/// Random updates, full of collisions.
pub struct Script<'r> {
    pub rng: &'r mut Rng,
    /// The serial of the zone.
    pub serial: u32,
    /// The records of the zone.
    pub content: Vec<Shown>,
}

impl Script<'_> {
    fn one_of<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.rng.usize(..choices.len())]
    }

    fn name(&mut self) -> &'static str {
        if self.rng.u8(..60) == 0 {
            return "elsewhere.";
        }
        self.one_of(&["@", "a", "b", "c", "a.b", "*.b", "ns", "mail", "d", "x.d", "under_score"])
    }

    fn host(&mut self) -> &'static str {
        self.one_of(&["ns", "ns", "mail", "a", "b", "c", "x.d", "nowhere", "y.b", "host.other."])
    }

    fn data(&mut self, rtype: &str) -> String {
        let n = self.rng.u8(1..4);
        match rtype {
            "A" => format!("192.0.2.{n}"),
            "AAAA" => format!("2001:db8::{n}"),
            "TXT" => format!("text{n}"),
            "NS" | "CNAME" | "DNAME" | "PTR" => self.host().to_string(),
            // `b` may be an empty non-terminal, which is among the differences.
            "MX" => format!("{n} {}", self.one_of(&["ns", "mail", "a", "c", "x.d", "nowhere", "y.b", "host.other."])),
            "SRV" => format!("0 0 {n} {}", self.host()),
            "HTTPS" => format!("{n} {} port=44{n}", self.host()),
            "KEY" => format!("{n} 3 13 AAAA"),
            "DS" => format!("{n} 13 2 {}", "ab".repeat(32)),
            "NSEC" => format!("{} A", self.host()),
            "SOA" => {
                let ahead = [0, 1, 5, u32::MAX, 0x7fff_ffff][self.rng.usize(..5)];
                let serial = self.serial.wrapping_add(ahead);
                format!("ns mailbox{n} {serial} 7200 900 1209600 60")
            }
            "WKS" => format!("192.0.2.1 {n} 25"),
            _ => format!("\\# 1 0{n}"),
        }
    }

    fn rtype(&mut self) -> &'static str {
        let common = ["A", "A", "AAAA", "TXT", "TXT", "CNAME", "CNAME", "NS", "MX", "TYPE65280"];
        let rare = ["SOA", "DNAME", "DS", "PTR", "SRV", "HTTPS", "KEY", "NSEC", "WKS"];
        if self.rng.u8(..4) > 0 { self.one_of(&common) } else { self.one_of(&rare) }
    }

    fn prerequisites(&mut self, lines: &mut Vec<String>) {
        let name = self.name();
        let rtype = self.rtype();
        match self.rng.u8(..7) {
            0 => lines.push(format!("prereq nxdomain {name}")),
            1 => lines.push(format!("prereq yxdomain {name}")),
            2 => lines.push(format!("prereq nxrrset {name} {rtype}")),
            3 => lines.push(format!("prereq yxrrset {name} {rtype}")),
            4 => {
                let data = self.data(rtype);
                lines.push(format!("prereq yxrrset {name} {rtype} {data}"));
            }
            _ => {
                // An RRset as it is, perhaps but for one record.
                let Some(one) = self.rng.choice(&self.content) else { return };
                let (owner, _, rtype, _) = one.parts();
                let same = self.content.iter().map(Shown::parts).filter(|(o, _, t, _)| (*o, *t) == (owner, rtype));
                lines.extend(same.map(|(owner, _, rtype, data)| format!("prereq yxrrset {owner} {rtype} {data}")));
                if self.rng.u8(..4) == 0 {
                    lines.pop();
                }
            }
        }
    }

    fn operation(&mut self, lines: &mut Vec<String>) {
        let name = self.name();
        let rtype = self.rtype();
        lines.push(match self.rng.u8(..14) {
            0..8 => {
                let name = if rtype == "SOA" && self.rng.u8(..4) > 0 { "@" } else { name };
                let ttl = [60, 60, 60, 300, 0][self.rng.usize(..5)];
                let data = self.data(rtype);
                if rtype == "DS" {
                    // A DS without NS is among the differences.
                    let owner = self.one_of(&["a", "d", "x.d"]);
                    lines.push(format!("add {owner} {ttl} NS {}", self.host()));
                    return lines.push(format!("add {owner} {ttl} DS {data}"));
                }
                format!("add {name} {ttl} {rtype} {data}")
            }
            8 | 9 => {
                let known = self.rng.choice(&self.content).map(Shown::parts);
                let deletion = known.map(|(owner, _, rtype, data)| format!("delete {owner} {rtype} {data}"));
                deletion.unwrap_or_else(|| "delete a A 192.0.2.1".into())
            }
            10 => format!("delete {name} {rtype} {}", self.data(rtype)),
            11 | 12 => format!("delete {name} {rtype}"),
            _ => format!("delete {name}"),
        });
    }

    /// A line of a form that is wrong.
    fn wrong(&mut self) -> String {
        let name = self.name();
        let form = self.one_of(&[
            "prereq {} 60 ANY A ",
            "prereq {} 0 ANY A c0000201",
            "prereq {} 0 NONE A c0000201",
            "prereq {} 60 IN A c0000201",
            "prereq {} 0 CH TYPE65280 ",
            "prereq {} 0 IN ANY ",
            "prereq {} 0 IN TYPE65280 ",
            "update {} 60 ANY A ",
            "update {} 0 ANY A c0000201",
            "update {} 0 ANY AXFR ",
            "update {} 60 NONE A c0000201",
            "update {} 0 NONE ANY ",
            "update {} 60 IN ANY ",
            "update {} 60 IN TYPE200 ",
            "update {} 60 CH TYPE65280 ",
            "update {} 60 CLASS77 TYPE65280 ",
            "update {} 0 ANY RRSIG ",
        ]);
        format!("raw {}", form.replace("{}", name))
    }

    /// The lines of an update.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rng.u8(..3) == 0 {
            (0..self.rng.u8(1..3)).for_each(|_| self.prerequisites(&mut lines));
        }
        for _ in 0..self.rng.u8(..6) {
            self.operation(&mut lines);
        }
        if self.rng.u8(..12) == 0 {
            let (at, wrong) = (self.rng.usize(..=lines.len()), self.wrong());
            lines.insert(at, wrong);
        }
        lines
    }
}

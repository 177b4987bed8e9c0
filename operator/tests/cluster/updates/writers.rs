//! Clients that write as fast as they can while something goes wrong, and what must be left of it. Each update of theirs
//! has two names that are replaced together, so that half an update shows, and one name of its own, so that a lost one
//! does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    KEY,
    client::{Client, NOERROR},
};
use crate::operated::{Operated, dig};

/// Sixteen clients that write.
pub struct Writers {
    address: String,
    end: Arc<AtomicBool>,
    made: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Wrote>>,
}

/// What they have written.
pub struct Written {
    address: String,
    writers: Vec<Wrote>,
}

/// What one of them has written.
struct Wrote {
    /// The updates that were acknowledged, of those below `next`.
    acknowledged: Vec<u32>,
    next: u32,
}

const WRITERS: usize = 16;

impl Writers {
    /// Has them write at the address of a server.
    pub fn start(address: &str) -> Writers {
        let (end, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..WRITERS).map(|writer| {
            let (address, end, made) = (address.to_owned(), Arc::clone(&end), Arc::clone(&made));
            thread::spawn(move || Wrote::until(&end, &made, &Client::new(&address, KEY), writer))
        });
        Writers { threads: threads.collect(), address: address.to_owned(), end, made }
    }

    /// Waits for an update that is acknowledged.
    pub async fn go_on(&self, it: &Operated) {
        let before = self.made.load(Ordering::Relaxed);
        it.until("an update", async || self.made.load(Ordering::Relaxed) > before).await;
    }

    pub fn end(self) -> Written {
        self.end.store(true, Ordering::Relaxed);
        let writers = self.threads.into_iter().map(|writer| writer.join().unwrap());
        Written { writers: writers.collect(), address: self.address }
    }
}

impl Written {
    /// How many updates were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.writers.iter().map(|wrote| wrote.acknowledged.len()).sum()
    }

    /// Looks for all that was acknowledged, at the server.
    pub fn is_there(&self) {
        let text = |name: String| dig(&self.address, &format!("{name}.dyn.example.com"), "TXT");
        for (writer, wrote) in self.writers.iter().enumerate() {
            let (one, other) = (text(format!("w{writer}")), text(format!("v{writer}")));
            assert_eq!(one, other, "half an update of writer {writer}");
            for number in &wrote.acknowledged {
                let name = format!("n{number}.w{writer}");
                assert_eq!(text(name.clone()), format!("\"{number}\"\n"), "an update is lost: {name}");
            }
            let last: u32 = one.trim_matches(['"', '\n']).parse().unwrap_or(0);
            assert!(
                wrote.acknowledged.last().is_none_or(|number| last >= *number),
                "writer {writer} goes back to {last}"
            );
        }
    }

    /// Looks for all that was acknowledged among the records that the cluster stores.
    pub fn is_stored(&self, lines: &[String]) {
        for (writer, wrote) in self.writers.iter().enumerate() {
            for number in &wrote.acknowledged {
                let line = format!("n{number}.w{writer}.dyn.example.com. 60 IN TXT \"{number}\"");
                assert!(lines.contains(&line), "it is stored: {line}");
            }
        }
    }

    /// Removes all that was written, acknowledged or not.
    pub fn remove(&self) {
        const AT_A_TIME: usize = 200;
        let client = Client::new(&self.address, KEY);
        for (writer, wrote) in self.writers.iter().enumerate() {
            let numbered = (0..wrote.next).map(|number| format!("delete n{number}.w{writer}.dyn"));
            let replaced = ["w", "v"].map(|name| format!("delete {name}{writer}.dyn"));
            let all: Vec<String> = numbered.chain(replaced).collect();
            for lines in all.chunks(AT_A_TIME) {
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                let reply = client.try_send("example.com", &lines);
                assert!(matches!(reply, Some((NOERROR, _))), "{reply:?}");
            }
        }
    }
}

impl Wrote {
    fn until(end: &AtomicBool, made: &AtomicUsize, client: &Client, writer: usize) -> Wrote {
        let mut wrote = Wrote { acknowledged: Vec::new(), next: 0 };
        while !end.load(Ordering::Relaxed) {
            let number = wrote.next;
            // Both or none, in place of what this writer has written before.
            let names = [format!("w{writer}"), format!("v{writer}")];
            let lines = names
                .iter()
                .flat_map(|name| [format!("delete {name}.dyn TXT"), format!("add {name}.dyn 60 TXT {number}")]);
            let mut lines: Vec<String> = lines.collect();
            lines.push(format!("add n{number}.w{writer}.dyn 60 TXT {number}"));
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            match client.try_send("example.com", &lines) {
                Some((NOERROR, _)) => {
                    wrote.acknowledged.push(number);
                    made.fetch_add(1, Ordering::Relaxed);
                }
                _ => thread::sleep(Duration::from_millis(100)),
            }
            wrote.next += 1;
        }
        wrote
    }
}

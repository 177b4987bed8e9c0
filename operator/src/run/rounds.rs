//! Asks many the same kind of question, in rounds, until nobody has to be asked: at once, then at growing intervals.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

/// A question to a pod.
pub(super) trait Ask: Clone + Send + Sync + 'static {
    /// What is answered.
    type Answer: Send + 'static;

    /// Whether it is no other question than this one.
    fn is_same(&self, other: &Self) -> bool;

    /// Asks it, once and for a bounded time; `None` if there is no answer that tells anything.
    fn ask(self) -> impl Future<Output = Option<Self::Answer>> + Send;
}

/// The one who asks. It ends when this is dropped.
pub(super) struct Rounds<Q: Ask> {
    questions: watch::Sender<Vec<Q>>,
    answers: mpsc::Receiver<Vec<Q::Answer>>,
}

/// How many questions are under way at a time.
const AT_A_TIME: usize = 256;
/// How long to wait after the first round, in which pods may not have heard of a change yet; then twice as long.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest time between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl<Q: Ask> Rounds<Q> {
    pub(super) fn start() -> Rounds<Q> {
        let (questions, asked) = watch::channel(Vec::new());
        let (sender, answers) = mpsc::channel(16);
        tokio::spawn(rounds(asked, sender));
        Rounds { questions, answers }
    }

    /// Asks this from now on, and nothing else.
    pub(super) fn ask(&self, questions: Vec<Q>) {
        self.questions.send_if_modified(|asked| {
            let is_new =
                asked.len() != questions.len() || !asked.iter().zip(&questions).all(|(one, new)| one.is_same(new));
            *asked = questions;
            is_new
        });
    }

    /// Waits for answers. None is lost if the caller does not wait to the end.
    pub(super) async fn next(&mut self) -> Option<Vec<Q::Answer>> {
        self.answers.recv().await
    }
}

async fn rounds<Q: Ask>(mut questions: watch::Receiver<Vec<Q>>, answers: mpsc::Sender<Vec<Q::Answer>>) {
    let mut pause = PAUSE;
    loop {
        let now = questions.borrow_and_update().clone();
        if !now.is_empty() {
            let asked = stream::iter(now).map(Ask::ask);
            let answered: Vec<Q::Answer> =
                asked.buffer_unordered(AT_A_TIME).filter_map(|answer| async { answer }).collect().await;
            if !answered.is_empty() && answers.send(answered).await.is_err() {
                return;
            }
        }
        let idle = questions.borrow().is_empty();
        let changed = if idle { Ok(questions.changed().await) } else { timeout(pause, questions.changed()).await };
        pause = match changed {
            Ok(Ok(())) => PAUSE,
            Ok(Err(_)) => return,
            Err(_) => (2 * pause).min(LONGEST_PAUSE),
        };
    }
}

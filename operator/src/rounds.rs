//! Asks many the same kind of question, in rounds, until nobody has to be asked: at once, then at growing intervals. Who
//! does not answer at all is asked a single question a round, so that it does not hold up the others.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::gather::{Bounds, Gather};

/// A question to a pod.
pub(crate) trait Ask: Clone + Send + Sync + 'static {
    /// What is answered.
    type Answer: Send + 'static;

    /// Who is asked.
    fn whom(&self) -> SocketAddr;

    /// Whether it is no other question than this one.
    fn is_same(&self, other: &Self) -> bool;

    /// Asks it, once and for a bounded time.
    fn ask(self) -> impl Future<Output = Reply<Self::Answer>> + Send;
}

/// What comes of a question.
pub(crate) enum Reply<A> {
    Answer(A),
    /// It was answered in a way that tells nothing.
    Nothing,
    /// Nobody has answered.
    Silence,
}

impl<A> Reply<A> {
    /// The same with another answer.
    pub(crate) fn map<B>(self, of: impl FnOnce(A) -> B) -> Reply<B> {
        match self {
            Reply::Answer(answer) => Reply::Answer(of(answer)),
            Reply::Nothing => Reply::Nothing,
            Reply::Silence => Reply::Silence,
        }
    }
}

/// The one who asks. It ends when this is dropped.
pub(crate) struct Rounds<Q: Ask> {
    questions: watch::Sender<Vec<Q>>,
    answers: Gather<Q::Answer>,
}

/// How many questions are under way at a time.
const AT_A_TIME: usize = 256;
/// How long to wait after the first round, in which pods may not have heard of a change yet; then twice as long.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest time between two rounds.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How many questions in a row somebody may leave unanswered until it counts as silent.
const SILENCES: u32 = 8;
/// How many answers wait.
const WAITING: usize = 4096;
/// What ends a batch of answers.
const BOUNDS: Bounds = Bounds { quiet: Duration::from_millis(1), patience: Duration::from_millis(10), most: WAITING };

impl<Q: Ask> Rounds<Q> {
    pub(crate) fn start() -> Rounds<Q> {
        let (questions, asked) = watch::channel(Vec::new());
        let (sender, answers) = mpsc::channel(WAITING);
        tokio::spawn(rounds(asked, sender));
        Rounds { questions, answers: Gather::new(answers, BOUNDS) }
    }

    /// Asks this from now on, and nothing else.
    pub(crate) fn ask(&self, questions: Vec<Q>) {
        self.questions.send_if_modified(|asked| {
            let is_new =
                asked.len() != questions.len() || !asked.iter().zip(&questions).all(|(one, new)| one.is_same(new));
            *asked = questions;
            is_new
        });
    }

    /// Waits for answers. None is lost if the caller does not wait to the end.
    pub(crate) async fn next(&mut self) -> Vec<Q::Answer> {
        self.answers.next().await
    }
}

async fn rounds<Q: Ask>(mut questions: watch::Receiver<Vec<Q>>, answers: mpsc::Sender<Q::Answer>) {
    let (mut pause, mut silences) = (PAUSE, HashMap::new());
    loop {
        let now = questions.borrow_and_update().clone();
        let asked: HashSet<SocketAddr> = now.iter().map(Ask::whom).collect();
        silences.retain(|whom, _| asked.contains(whom));
        if !now.is_empty() && !round(now, &mut silences, &answers).await {
            return;
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

/// Asks everybody once; returns whether somebody wants to know. `silences` is how many questions in a row each has left
/// unanswered.
async fn round<Q: Ask>(
    questions: Vec<Q>,
    silences: &mut HashMap<SocketAddr, u32>,
    answers: &mpsc::Sender<Q::Answer>,
) -> bool {
    let (mut left, mut asked, mut under_way) = (questions.into_iter(), HashSet::new(), FuturesUnordered::new());
    loop {
        while under_way.len() < AT_A_TIME
            && let Some(question) = left.next()
        {
            let whom = question.whom();
            let is_silent = silences.get(&whom).is_some_and(|count| *count >= SILENCES);
            if asked.insert(whom) || !is_silent {
                under_way.push(async move { (whom, question.ask().await) });
            }
        }
        let Some((whom, reply)) = under_way.next().await else { return true };
        if matches!(reply, Reply::Silence) {
            *silences.entry(whom).or_default() += 1;
        } else {
            silences.remove(&whom);
        }
        if let Reply::Answer(answer) = reply
            && answers.send(answer).await.is_err()
        {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    #[derive(Clone)]
    struct Question {
        whom: SocketAddr,
        answers: bool,
        asked: Arc<AtomicU32>,
    }

    impl Ask for Question {
        type Answer = SocketAddr;

        fn whom(&self) -> SocketAddr {
            self.whom
        }

        fn is_same(&self, other: &Question) -> bool {
            self.whom == other.whom
        }

        async fn ask(self) -> Reply<SocketAddr> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if self.answers { Reply::Answer(self.whom) } else { Reply::Silence }
        }
    }

    #[tokio::test]
    async fn who_is_silent_does_not_hold_up_others() {
        let question = |last: u8, answers| Question {
            whom: SocketAddr::from(([192, 0, 2, last], 53)),
            answers,
            asked: Arc::default(),
        };
        let (silent, other) = (question(1, false), question(2, true));
        let questions: Vec<Question> = (0..1000).flat_map(|_| [silent.clone(), other.clone()]).collect();
        let (answers, mut received) = mpsc::channel(10_000);
        let mut silences = HashMap::new();
        assert!(round(questions.clone(), &mut silences, &answers).await);
        let first = silent.asked.swap(0, Ordering::Relaxed);
        assert!(first < 300, "asked {first} times, of which most at the same time");
        assert!(round(questions, &mut silences, &answers).await);
        assert_eq!(silent.asked.load(Ordering::Relaxed), 1);
        assert_eq!((other.asked.load(Ordering::Relaxed), received.len()), (2000, 2000));
        received.close();
        assert!(!round(vec![other], &mut silences, &answers).await, "nobody wants to know");
    }
}

//! Follows objects of the API server: all of them at first, then each change, and all of them again after a loss.

use std::{fmt::Debug, time::Duration};

use futures_util::{StreamExt, pin_mut};
use kube::{
    Api, Resource,
    api::{ListParams, WatchParams},
    core::WatchEvent,
};
use serde::de::DeserializeOwned;

/// What has become of objects.
pub(crate) enum News<K> {
    /// These are all. What was there before and is not among them has gone.
    All(Vec<K>),
    Is(K),
    Gone(K),
}

/// How long to wait after an error.
const PAUSE: Duration = Duration::from_millis(500);

/// Tells the news of the objects that selectors of fields choose, for ever.
pub(crate) async fn follow<K>(api: Api<K>, fields: &str, mut tell: impl FnMut(News<K>))
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    loop {
        if let Err(error) = once(&api, fields, &mut tell).await {
            eprintln!("{}: {error}", api.resource_url());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once<K>(api: &Api<K>, fields: &str, tell: &mut impl FnMut(News<K>)) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let list = api.list(&ListParams::default().fields(fields)).await?;
    let mut version = list.metadata.resource_version.unwrap_or_default();
    tell(News::All(list.items));
    loop {
        let events = api.watch(&WatchParams::default().fields(fields).timeout(290), &version).await?;
        pin_mut!(events);
        while let Some(event) = events.next().await {
            let (object, is_gone) = match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    continue;
                }
                // The version is too old, most often.
                WatchEvent::Error(status) => return Err(kube::Error::Api(status)),
            };
            version = object.meta().resource_version.clone().unwrap_or(version);
            tell(if is_gone { News::Gone(object) } else { News::Is(object) });
        }
    }
}

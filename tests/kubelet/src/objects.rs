//! Knows what a Pod refers to: follows each of its ConfigMaps and Secrets, and has tokens of its ServiceAccount, which
//! are renewed in time. A Node may read those objects only, and may watch them only one by one.

use std::{fmt::Debug, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus},
        core::v1::{ConfigMap, Pod, Secret, ServiceAccount},
    },
};
use kube::{Api, Client, Resource, ResourceExt, api::PostParams};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinSet};

use crate::{
    facts::{Data, Kind, Needs, Objects, Reference, Token},
    follow::{News, follow},
};

/// The objects of one Pod, which are followed as long as this is there.
pub(crate) struct Followed {
    pub(crate) objects: watch::Receiver<Objects>,
    _tasks: JoinSet<()>,
}

impl Followed {
    pub(crate) fn new(client: &Client, pod: &Pod, needs: Needs) -> Followed {
        let (sender, objects) = watch::channel(Objects::default());
        let mut tasks = JoinSet::new();
        let namespace = pod.namespace().unwrap_or_default();
        for reference in needs.objects {
            let (client, sender, namespace) = (client.clone(), sender.clone(), namespace.clone());
            match reference.kind {
                Kind::ConfigMap => {
                    tasks.spawn(object(Api::<ConfigMap>::namespaced(client, &namespace), reference, config_map, sender))
                }
                Kind::Secret => {
                    tasks.spawn(object(Api::<Secret>::namespaced(client, &namespace), reference, secret, sender))
                }
            };
        }
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone());
        let account = account.filter(|name| !name.is_empty()).unwrap_or_else(|| "default".into());
        for token in needs.tokens {
            let accounts = Api::<ServiceAccount>::namespaced(client.clone(), &namespace);
            tasks.spawn(renew(accounts, account.clone(), pod.clone(), token, sender.clone()));
        }
        Followed { objects, _tasks: tasks }
    }
}

fn config_map(object: ConfigMap) -> Data {
    let texts = object.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
    texts.chain(object.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0))).collect()
}

fn secret(object: Secret) -> Data {
    object.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

/// Follows one object.
async fn object<K>(api: Api<K>, reference: Reference, data: fn(K) -> Data, sender: watch::Sender<Objects>)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let fields = format!("metadata.name={}", reference.name);
    follow(api, &fields, |news| {
        let now = match news {
            News::All(mut objects) => objects.pop().map(data),
            News::Is(object) => Some(data(object)),
            News::Gone(_) => None,
        };
        sender.send_if_modified(|objects| {
            let before = objects.data.insert(reference.clone(), now.clone());
            before != Some(now)
        });
    })
    .await;
}

/// Has a token, and another when four fifths of its time are over, for ever.
async fn renew(accounts: Api<ServiceAccount>, account: String, pod: Pod, token: Token, sender: watch::Sender<Objects>) {
    let to_pod = BoundObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
    };
    let spec = TokenRequestSpec {
        audiences: token.audience.clone().into_iter().collect::<Vec<_>>().into(),
        bound_object_ref: Some(to_pod),
        expiration_seconds: Some(token.seconds),
    };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    loop {
        let issued = accounts.create_token_request(&account, &PostParams::default(), &request).await;
        let delay = match issued.map(|issued| issued.status.unwrap_or_default()) {
            Ok(TokenRequestStatus { expiration_timestamp, token: issued }) => {
                sender.send_modify(|objects| _ = objects.tokens.insert(token.clone(), issued.unwrap_or_default()));
                let end = expiration_timestamp.map_or(0, |time| time.0.as_second());
                let seconds = end - Timestamp::now().as_second();
                Duration::from_secs(u64::try_from(seconds * 4 / 5).unwrap_or(0).max(1))
            }
            Err(error) => {
                eprintln!("a token of {account} for {}: {error}", pod.name_any());
                Duration::from_secs(1)
            }
        };
        tokio::time::sleep(delay).await;
    }
}

/// Whether it is known of all that is needed what it is, or that it does not exist.
pub(crate) fn is_complete(needs: &Needs, objects: &Objects) -> bool {
    let known = &objects.data;
    needs.objects.iter().all(|it| known.contains_key(it))
        && needs.tokens.iter().all(|it| objects.tokens.contains_key(it))
}

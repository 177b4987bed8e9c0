//! Makes a volume, which is a folder, for each claim that waits for one: the provisioner of the class [`CLASS`], which
//! claims have that name no class.

use std::path::PathBuf;

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim},
    storage::v1::StorageClass,
};
use kube::{Api, Client, Resource, ResourceExt, api::PostParams};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::follow::{News, follow};

/// The name of the StorageClass and of its provisioner.
const CLASS: &str = "folders";
const PROVISIONER: &str = "bindy.test/folders";

/// Serves claims for ever. Volumes are folders below this, by namespace and claim.
pub(crate) async fn serve(client: Client, folder: PathBuf) {
    let class = json!({
        "metadata": { "name": CLASS, "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
        "provisioner": PROVISIONER
    });
    create(&Api::<StorageClass>::all(client.clone()), class).await;
    let volumes = Api::<PersistentVolume>::all(client.clone());
    let (waiting, mut claims) = mpsc::unbounded_channel();
    let claimed = follow(Api::<PersistentVolumeClaim>::all(client), "", |news| {
        let claims = match news {
            News::All(claims) => claims,
            News::Is(claim) => vec![claim],
            News::Gone(_) => Vec::new(),
        };
        claims.into_iter().filter(is_waiting).for_each(|claim| _ = waiting.send(claim));
    });
    let make = async {
        while let Some(claim) = claims.recv().await {
            let (namespace, name) = (claim.namespace().unwrap_or_default(), claim.name_any());
            let spec = claim.spec.clone().unwrap_or_default();
            let reference = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name,
                "uid": claim.metadata.uid
            });
            let volume = json!({
                "metadata": { "name": format!("folder-{}", claim.uid().unwrap_or_default()) },
                "spec": {
                    "capacity": spec.resources.and_then(|resources| resources.requests),
                    "accessModes": spec.access_modes, "storageClassName": CLASS, "claimRef": reference,
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": { "path": folder.join(&namespace).join(&name) }
                }
            });
            create(&volumes, volume).await;
        }
    };
    tokio::join!(claimed, make);
}

fn is_waiting(claim: &PersistentVolumeClaim) -> bool {
    let spec = claim.spec.as_ref();
    let is_ours = spec.and_then(|spec| spec.storage_class_name.as_deref()) == Some(CLASS);
    is_ours && spec.is_some_and(|spec| spec.volume_name.is_none())
}

/// Makes an object, unless it is there.
async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource + Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let object = serde_json::from_value(object).expect("it has the form of its kind");
    match api.create(&PostParams::default(), &object).await {
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(error) => eprintln!("{}: {error}", api.resource_url()),
        Ok(_) => {}
    }
}

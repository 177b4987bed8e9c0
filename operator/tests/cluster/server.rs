//! A cluster in which the definitions are installed, and what it says of manifests.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bindy::api::{self, GROUP, Kind, VERSION};
use bindy_cluster::{Cluster, Extent, PodSecurity};
use http::{Method, Request, request::Builder};
use kube::Client;
use serde_json::Value;

use crate::{kind, mutants::Mutant};

/// A cluster with the definitions, and a namespace in it for one test.
pub struct Server {
    cluster: Arc<Cluster>,
    client: Client,
    namespace: String,
}

/// What an API server says of an object that it refuses.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub message: String,
    /// The paths of the fields at fault, each once.
    pub fields: Vec<String>,
}

impl Server {
    /// Has the definitions installed, and waits until the server knows them.
    pub async fn start() -> Server {
        let cluster = Cluster::shared(Extent::Api).await;
        let namespace = cluster.namespace(PodSecurity::Restricted).await;
        let server = Server { client: cluster.client(), cluster, namespace };
        for kind in Kind::all() {
            server.install(kind).await;
        }
        for kind in Kind::all() {
            server.until_established(kind).await;
        }
        server
    }

    /// Removes what the test has made, except for the definitions.
    pub async fn end(self) {
        self.cluster.remove(&self.namespace).await;
    }

    /// Applies the definition of a kind as it is in `deploy/crds`.
    pub async fn install(&self, kind: Kind) {
        let path = format!("{}/../deploy/crds/{}.yaml", env!("CARGO_MANIFEST_DIR"), kind.plural());
        let yaml = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let applied = self.request(Method::PATCH, &format!("{}?{APPLY}", definition_path(kind)), yaml).await;
        applied.unwrap_or_else(|refusal| panic!("{path}: {refusal:?}"));
    }

    pub async fn definition(&self, kind: Kind) -> Value {
        self.request(Method::GET, &definition_path(kind), String::new()).await.expect("it is installed")
    }

    async fn until_established(&self, kind: Kind) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let definition = self.definition(kind).await;
            let conditions = definition["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let is = |name: &str| conditions.iter().any(|it| it["type"] == name && it["status"] == "True");
            assert!(!is("NonStructuralSchema"), "{}: {conditions:?}", kind.name());
            if is("Established") && is("NamesAccepted") {
                return;
            }
            assert!(Instant::now() < deadline, "{} was not established in a minute: {conditions:?}", kind.name());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Applies an object in the namespace of this test, and returns what is stored.
    pub async fn apply(&self, object: &Value) -> Result<Value, Refusal> {
        let (object, path) = self.own(object);
        self.request(Method::PATCH, &format!("{path}?{APPLY}"), object.to_string()).await
    }

    /// Deletes an object that [`Self::apply`] has made.
    pub async fn delete(&self, object: &Value) {
        self.request(Method::DELETE, &self.own(object).1, String::new()).await.expect("it is there");
    }

    /// An object of this test alone, and its path: without a namespace, it has a name that nobody else gives.
    fn own(&self, object: &Value) -> (Value, String) {
        let mut object = self.here(object);
        if !kind(&object).is_namespaced() {
            object["metadata"]["name"] = self.namespace.clone().into();
        }
        let path = format!("{}/{}", self.path(&object), object["metadata"]["name"].as_str().expect("it has a name"));
        (object, path)
    }

    /// Replaces a subresource of an object that [`Self::apply`] has made, and returns it.
    pub async fn replace(&self, object: &Value, subresource: &str, mut body: Value) -> Result<Value, Refusal> {
        let (_, path) = self.own(object);
        let mut now = self.request(Method::GET, &path, String::new()).await?;
        body["metadata"] = now["metadata"].take();
        self.request(Method::PUT, &format!("{path}/{subresource}"), body.to_string()).await
    }

    /// The table that `kubectl get` prints of the objects in the namespace of this test.
    pub async fn table(&self, like: &Value) -> Value {
        let request =
            Request::get(self.path(&self.here(like))).header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
        self.send(request, String::new()).await.expect("it is a kind")
    }

    /// Asks whether an object would be stored. Unknown fields are dropped silently.
    pub async fn try_create(&self, object: &Value) -> Result<(), Refusal> {
        let object = self.here(object);
        let path = format!("{}?dryRun=All&fieldValidation=Ignore", self.path(&object));
        self.request(Method::POST, &path, object.to_string()).await.map(drop)
    }

    /// Asks it of many, four at a time.
    pub async fn try_each(&self, mutants: Vec<Mutant>) -> Vec<(Mutant, Result<(), Refusal>)> {
        let next = AtomicUsize::new(0);
        let ask = async || {
            let mut verdicts = Vec::new();
            while let Some(mutant) = mutants.get(next.fetch_add(1, Ordering::Relaxed)) {
                verdicts.push((mutant.clone(), self.try_create(&mutant.object).await));
            }
            verdicts
        };
        let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
        [a, b, c, d].concat()
    }

    /// An object in the namespace of this test.
    fn here(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if kind(&object).is_namespaced() {
            object["metadata"]["namespace"] = self.namespace.clone().into();
        }
        object
    }

    fn path(&self, object: &Value) -> String {
        let kind = kind(object);
        let namespace = if kind.is_namespaced() { format!("namespaces/{}/", self.namespace) } else { String::new() };
        format!("/apis/{GROUP}/{VERSION}/{namespace}{}", kind.plural())
    }

    async fn request(&self, method: Method, path: &str, body: String) -> Result<Value, Refusal> {
        let content = if method == Method::PATCH { "application/apply-patch+yaml" } else { "application/json" };
        let request = Request::builder().method(method).uri(path).header("Content-Type", content);
        self.send(request, body).await
    }

    async fn send(&self, request: Builder, body: String) -> Result<Value, Refusal> {
        let request = request.body(body.into_bytes()).expect("a path and a method");
        self.client.request(request).await.map_err(|error| match error {
            kube::Error::Api(status) => {
                let causes = status.details.into_iter().flat_map(|details| details.causes);
                // "<nil>" says that some rules were not tried.
                let fields = causes.map(|cause| cause.field).filter(|field| field != "<nil>").collect();
                Refusal { message: status.message, fields }
            }
            error => panic!("no answer of an API server: {error}"),
        })
    }
}

/// Server-side apply, in which an unknown field is an error.
const APPLY: &str = "fieldManager=bindy-test&force=true&fieldValidation=Strict";

fn definition_path(kind: Kind) -> String {
    let name = api::crd(kind)["metadata"]["name"].as_str().expect("it has one").to_owned();
    format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
}

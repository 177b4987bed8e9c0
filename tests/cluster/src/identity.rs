//! Who is who in a cluster: an authority, the certificates that it signs, and kubeconfigs with them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// Signs the certificates of one cluster, all of which are files in its folder: `NAME.crt` and `NAME.key`, in PEM.
pub(crate) struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The name of the authority's own files.
const AUTHORITY: &str = "authority";

impl Authority {
    pub(crate) fn new(folder: &Path) -> Authority {
        let mut params = named("bindy-tests", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = new_key();
        let certificate = params.self_signed(&key).expect("its own key signs");
        write(folder, AUTHORITY, &certificate.pem(), &key);
        Authority { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Makes the certificate of a server on 127.0.0.1, which Pods find at the first `ClusterIP`; returns its file and that of its key.
    pub(crate) fn server(&self, name: &str) -> (String, String) {
        let mut params = named(name, None);
        let addresses =
            CertificateParams::new(["127.0.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc"].map(String::from));
        params.subject_alt_names = addresses.expect("they are ASCII").subject_alt_names;
        self.sign(name, params, ExtendedKeyUsagePurpose::ServerAuth);
        (self.file(name, "crt"), self.file(name, "key"))
    }

    /// Makes a certificate of a user, and the kubeconfig with which the user speaks to the API server at `url`; returns
    /// the file of the latter.
    pub(crate) fn user(&self, name: &str, group: Option<&str>, url: &str) -> String {
        self.sign(name, named(name, group), ExtendedKeyUsagePurpose::ClientAuth);
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": { "server": url, "certificate-authority": self.certificate() } }],
            "users": [{
                "name": name,
                "user": { "client-certificate": self.file(name, "crt"), "client-key": self.file(name, "key") }
            }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": name } }],
            "current-context": "test"
        });
        let path = self.file(name, "kubeconfig");
        // JSON is YAML.
        fs::write(&path, kubeconfig.to_string()).expect("the folder is ours");
        path
    }

    /// Makes a pair of keys for something that needs no certificate; returns the file of
    /// both.
    pub(crate) fn pair(&self, name: &str) -> String {
        let path = self.file(name, "key");
        let key = new_key();
        fs::write(&path, key.serialize_pem() + &key.public_key_pem()).expect("the folder is ours");
        path
    }

    /// The file of the authority's certificate, by which all others are known.
    pub(crate) fn certificate(&self) -> String {
        self.file(AUTHORITY, "crt")
    }

    /// The file of the authority's key.
    pub(crate) fn key(&self) -> String {
        self.file(AUTHORITY, "key")
    }

    fn sign(&self, name: &str, mut params: CertificateParams, purpose: ExtendedKeyUsagePurpose) {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        let key = new_key();
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs what it is given");
        write(&self.folder, name, &certificate.pem(), &key);
    }

    /// The path of a file of the authority: `crt`, `key` or `kubeconfig` of a name.
    pub(crate) fn file(&self, name: &str, extension: &str) -> String {
        self.folder.join(format!("{name}.{extension}")).display().to_string()
    }
}

/// A certificate for a name: to the API server, the common name is the user, and the organization a group.
fn named(name: &str, group: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("the system has randomness")
}

fn write(folder: &Path, name: &str, certificate: &str, key: &KeyPair) {
    fs::write(folder.join(format!("{name}.crt")), certificate).expect("the folder is ours");
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("the folder is ours");
}

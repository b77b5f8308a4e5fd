//! Payloads of one message, by what they are.

use crate::wire::{
    Authentication, Certificate, CertificateEncoding, CertificateRequest, Configuration, Content, Delete,
    Eap, Identity, KeyExchange, Nonce, Notify, NotifyType, Payload, SecurityAssociation, TrafficSelectors,
};

/// Looks at payloads without caring for their order (RFC 7296 2.5).
#[derive(Clone, Copy)]
pub(crate) struct View<'a>(pub(crate) &'a [Payload<'a>]);

macro_rules! first {
    ($(#[$doc:meta])* $name:ident, $variant:ident, $type:ty) => {
        $(#[$doc])*
        pub(crate) fn $name(&self) -> Option<&'a $type> {
            self.0.iter().find_map(|payload| match payload {
                Payload::$variant(body) => Some(body),
                _ => None,
            })
        }
    };
}

impl<'a> View<'a> {
    first!(
        /// SA.
        sa, SecurityAssociation, SecurityAssociation);
    first!(
        /// KE.
        ke, KeyExchange, KeyExchange<'a>);
    first!(
        /// Ni or Nr.
        nonce, Nonce, Nonce<'a>);
    first!(
        /// IDi.
        idi, IdInitiator, Identity<'a>);
    first!(
        /// IDr.
        idr, IdResponder, Identity<'a>);
    first!(
        /// AUTH.
        auth, Authentication, Authentication<'a>);
    first!(
        /// TSi.
        tsi, TsInitiator, TrafficSelectors);
    first!(
        /// TSr.
        tsr, TsResponder, TrafficSelectors);
    first!(
        /// EAP.
        eap, Eap, Eap<'a>);
    first!(
        /// CP.
        cp, Configuration, Configuration<'a>);

    /// All notifications.
    pub(crate) fn notifies(&self) -> impl Iterator<Item = &'a Notify<'a>> + use<'a> {
        self.0.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify),
            _ => None,
        })
    }

    /// The first notification of a kind.
    pub(crate) fn notify(&self, kind: NotifyType) -> Option<&'a Notify<'a>> {
        self.notifies().find(|notify| notify.kind == kind)
    }

    /// Whether a notification of a kind is there.
    pub(crate) fn has(&self, kind: NotifyType) -> bool {
        self.notify(kind).is_some()
    }

    /// The first error notification.
    pub(crate) fn error(&self) -> Option<NotifyType> {
        self.notifies().map(|notify| notify.kind).find(|kind| kind.is_error())
    }

    /// What stands in the first notification of a kind, if it is sound.
    pub(crate) fn content(&self, kind: NotifyType) -> Option<Content<'a>> {
        self.notify(kind).and_then(|notify| notify.content().ok())
    }

    /// Data of all notifications of a kind.
    pub(crate) fn data(&self, kind: NotifyType) -> Vec<&'a [u8]> {
        self.notifies().filter(|notify| notify.kind == kind).map(|notify| &*notify.data).collect()
    }

    /// Deletes.
    pub(crate) fn deletes(&self) -> impl Iterator<Item = &'a Delete> + use<'a> {
        self.0.iter().filter_map(|payload| match payload {
            Payload::Delete(delete) => Some(delete),
            _ => None,
        })
    }

    /// SHA-1 of the public keys of X.509 authorities that the peer asks for (RFC 7296 3.7).
    pub(crate) fn authorities(&self) -> Vec<[u8; 20]> {
        let x509 = |request: &&CertificateRequest<'_>| request.encoding == CertificateEncoding::X509Signature;
        let requests = self.0.iter().filter_map(|payload| match payload {
            Payload::CertificateRequest(request) => Some(request),
            _ => None,
        });
        requests.filter(x509).flat_map(CertificateRequest::hashes).collect()
    }

    /// X.509 certificates in order.
    pub(crate) fn certificates(&self) -> Vec<Vec<u8>> {
        let x509 = |certificate: &Certificate<'_>| certificate.encoding == CertificateEncoding::X509Signature;
        let pick = |payload: &Payload<'_>| match payload {
            Payload::Certificate(certificate) if x509(certificate) => Some(certificate.data.to_vec()),
            _ => None,
        };
        self.0.iter().filter_map(pick).collect()
    }
}

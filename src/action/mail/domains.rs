//! How many mails may be on their way to one domain at a time. Large providers refuse senders that come with more.
//!
//! Each domain has a line of its own, first come, first served; lines go when nobody stands in them. What a domain is
//! called in capitals, or in letters that are no ASCII, makes no difference. Knows nothing of servers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use crate::settings::DomainLimits;

/// The lines of all domains.
#[derive(Debug)]
pub(super) struct Domains(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: DomainLimits,
    lines: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A mail's place in the line of its domain. Dropped: the next one may go.
#[derive(Debug)]
pub(super) struct Place {
    domains: Arc<Shared>,
    domain: String,
    /// None: it still waits.
    permit: Option<OwnedSemaphorePermit>,
}

impl Domains {
    pub(super) fn new(limits: DomainLimits) -> Self {
        Self(Arc::new(Shared { limits, lines: Mutex::default() }))
    }

    /// Waits until a mail to `address` may go; none: nothing limits how many may.
    pub(super) async fn place(&self, address: &Address) -> Option<Place> {
        let domain = folded(address.domain());
        let limits = &self.0.limits;
        let most = limits.domains.get(&domain).copied().or(limits.default)?;
        let mut place = Place { domains: Arc::clone(&self.0), domain, permit: None };
        let line = {
            let mut lines = self.0.lock();
            let line = lines.entry(place.domain.clone());
            Arc::clone(line.or_insert_with(|| Arc::new(Semaphore::new(most.get()))))
        };
        // It is never closed.
        place.permit = line.acquire_owned().await.ok();
        Some(place)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Semaphore>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        let mut lines = self.domains.lock();
        // Who stands in a line holds it.
        if lines.get(&self.domain).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.domain);
        }
    }
}

/// The domain as all its spellings have it: small letters, and ASCII where IDNA has a form for it.
fn folded(domain: &str) -> String {
    if domain.is_ascii() {
        return domain.to_ascii_lowercase();
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(ascii)) => ascii,
        _ => domain.to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;

    fn domains(default: Option<usize>, of: &[(&str, usize)]) -> Domains {
        let number = |most: usize| NonZeroUsize::new(most).unwrap();
        let of = of.iter().map(|(domain, most)| ((*domain).to_owned(), number(*most)));
        Domains::new(DomainLimits { default: default.map(number), domains: of.collect::<BTreeMap<_, _>>() })
    }

    async fn place(domains: &Domains, to: &str) -> Option<Place> {
        domains.place(&Address::parse(to).unwrap()).await
    }

    /// It has to wait.
    async fn waits(domains: &Domains, to: &str) -> bool {
        tokio::time::timeout(Duration::ZERO, place(domains, to)).await.is_err()
    }

    #[test]
    fn a_domain_is_one_however_it_is_spelt() {
        assert_eq!(folded("QQ.com"), "qq.com");
        for spelling in ["例子.test", "XN--fsqu00a.test", "xn--fsqu00a.TEST"] {
            assert_eq!(folded(spelling), "xn--fsqu00a.test");
        }
        assert_eq!(folded("straße.test"), folded("STRASSE.test").replace("strasse", "xn--strae-oqa"));
        assert_eq!(folded("[IPv6:::1]"), "[ipv6:::1]");
    }

    #[tokio::test]
    async fn each_domain_has_a_line_of_its_own() {
        let domains = domains(Some(2), &[("qq.com", 1)]);
        let first = place(&domains, "a@QQ.com").await.unwrap();
        assert!(waits(&domains, "b@qq.com").await);
        let others = [place(&domains, "a@x.test").await, place(&domains, "b@X.test").await];
        assert!(waits(&domains, "c@x.test").await);
        assert!(!waits(&domains, "a@y.test").await);
        drop(first);
        assert!(!waits(&domains, "b@qq.com").await);
        drop(others);
        assert!(domains.0.lock().is_empty(), "a line without anybody in it goes");
    }

    #[tokio::test]
    async fn without_a_default_only_the_named_domains_have_lines() {
        let domains = domains(None, &[("qq.com", 1)]);
        assert!(place(&domains, "a@x.test").await.is_none());
        let _first = place(&domains, "a@qq.com").await.unwrap();
        assert!(waits(&domains, "b@qq.com").await);
    }
}

//! `per_domain`: how many mails may be on their way to one domain at a time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use super::decode::Node;
use crate::settings::DomainLimits;

/// Of domains that are not named.
const DEFAULT: &str = "default";

const EXAMPLES: &str = "`4` or `{ \"default\": 4, \"qq.com\": 2 }`";

/// Reads a number for each domain, or an object with the numbers of some.
pub(super) fn read(node: &Node<'_>) -> Option<DomainLimits> {
    if !node.is_object() {
        if node.kind() != "a number" {
            return node.wrong_type(EXAMPLES);
        }
        return Some(DomainLimits { default: Some(most(node)?), domains: BTreeMap::new() });
    }
    let mut limits = DomainLimits::default();
    let entries = node.entries()?;
    if entries.is_empty() {
        node.error("no domain is limited", format!("write {EXAMPLES}"));
        return None;
    }
    for (name, node) in entries {
        if name == DEFAULT {
            limits.default = most(&node);
            continue;
        }
        let (Some(domain), Some(most)) = (domain(name, &node), most(&node)) else { continue };
        if limits.domains.insert(domain.clone(), most).is_some() {
            node.error(
                format!("`{domain}` is limited twice, in two spellings"),
                "delete one of them".to_owned(),
            );
        }
    }
    Some(limits)
}

fn most(node: &Node<'_>) -> Option<NonZeroUsize> {
    NonZeroUsize::new(usize::try_from(node.integer(1..=1000)?).ok()?)
}

/// The name of a domain as all its spellings have it.
fn domain(name: &str, node: &Node<'_>) -> Option<String> {
    if let Some((_, domain)) = name.rsplit_once('@') {
        node.error(format!("`{name}` is more than a domain"), format!("write `{domain}`"));
        return None;
    }
    match url::Host::parse(name) {
        Ok(url::Host::Domain(domain)) if !domain.contains('*') => Some(domain),
        _ => {
            let help = "write what stands after the `@` of addresses, such as `qq.com`; each domain is named by itself";
            node.error(format!("`{name}` is not a domain"), help.to_owned());
            None
        }
    }
}

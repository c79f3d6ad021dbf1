//! Tables of any size are read in the same memory.

use serde_json::json;
use uuid::Uuid;

use super::{confirmed_like, order, reconcile, shop};
use crate::products::State;

#[tokio::test]
async fn memory_does_not_grow_with_the_tables() {
    const FEW: usize = 300;
    const MANY: usize = 1_500;
    /// Half of what the further orders take in the table.
    const BYTES: u64 = 1_200 * 8_192 / 2;
    let (shop, _baskets, service) = shop(&[]).await;
    let tea = shop.products.add(500, 100);
    let template = order(&shop, &service, tea, None, "awaiting_acceptance").await;
    let mut template = shop.item(&template).await.unwrap();
    template["causation"] = json!("x".repeat(7_000));
    let mut grown = Vec::new();
    let mut there = 1;
    for count in [FEW, MANY] {
        let items: Vec<_> = (there..count)
            .map(|_| {
                let id = Uuid::new_v4().to_string();
                shop.products.put_reservation(&id, &[(tea, 2)], State::Committed);
                confirmed_like(&template, &id)
            })
            .collect();
        shop.put_all(&items).await;
        drop(items);
        there = count;
        let mut least = u64::MAX;
        // Other tests run in this process: what they take comes and goes, what this takes comes each time.
        for _ in 0..3 {
            let before = peak::reset();
            let told = reconcile(&service).await;
            told.assert_clean();
            assert_eq!(told.summary["orders"], count);
            least = least.min(peak::resident().saturating_sub(before));
        }
        grown.push(least);
    }
    assert!(
        grown[1] < grown[0] + BYTES,
        "{grown:?} bytes for {FEW} and for {MANY} orders of 8 KB"
    );
}

/// The process's memory, as Linux counts it.
mod peak {
    /// Forgets the peak so far. Comes back with what is resident now.
    pub(super) fn reset() -> u64 {
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        resident()
    }

    /// The peak since.
    pub(super) fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        kib * 1024
    }
}

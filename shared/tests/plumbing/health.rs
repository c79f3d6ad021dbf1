//! What is told of readiness.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{App, test, web};
use shared::health::{self, Readiness};
use tokio::time::{Instant, sleep};

use crate::told::Told;

#[actix_web::test]
async fn readiness_is_told_of_when_it_changes_and_not_at_each_question() {
    let told = Told::here();
    let (there, probes) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let (answers, counts) = (Arc::clone(&there), Arc::clone(&probes));
    let readiness = Readiness::new(move || {
        counts.fetch_add(1, Ordering::Relaxed);
        let there = answers.load(Ordering::Relaxed);
        async move {
            anyhow::ensure!(there, "the table does not answer");
            Ok(())
        }
    });
    let app = App::new()
        .app_data(web::Data::new(readiness))
        .configure(health::configure);
    let app = test::init_service(app).await;
    // An answer lasts for a second: only then is the probe asked again.
    let answered = async |status: StatusCode, times: usize| {
        let (before, deadline) = (probes.load(Ordering::Relaxed), Instant::now() + Duration::from_secs(20));
        loop {
            let asked = test::TestRequest::get().uri("/readyz").to_request();
            let answer = test::call_service(&app, asked).await;
            if probes.load(Ordering::Relaxed) >= before + times {
                return assert_eq!(answer.status(), status);
            }
            assert!(Instant::now() < deadline, "the probe is not asked");
            sleep(Duration::from_millis(50)).await;
        }
    };
    answered(StatusCode::OK, 1).await;
    assert_eq!(told.heard(), Vec::<String>::new());
    there.store(false, Ordering::Relaxed);
    answered(StatusCode::SERVICE_UNAVAILABLE, 2).await;
    there.store(true, Ordering::Relaxed);
    answered(StatusCode::OK, 1).await;
    assert_eq!(
        told.heard(),
        [
            "WARN not ready: something that this needs does not answer",
            "INFO ready again"
        ]
    );
}

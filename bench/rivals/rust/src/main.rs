use lambda_runtime::{run_concurrent, service_fn, Error, LambdaEvent};
use serde_json::{json, Value};

async fn handler(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if std::env::var_os("BENCH_SLEEP").is_some() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(match std::env::var_os("BENCH_ECHO") {
        Some(_) => event.payload,
        None => json!({"statusCode": 200, "body": "ok"}),
    })
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    run_concurrent(service_fn(handler)).await
}

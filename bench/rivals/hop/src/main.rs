// What the Lambda Web Adapter does, in its shortest form: an event becomes a request to a server on localhost.
use lambda_runtime::{run_concurrent, service_fn, Error, LambdaEvent};
use reqwest::{Client, Method};
use serde_json::{json, Map, Value};

async fn handle(client: Client, target: String, event: LambdaEvent<Value>) -> Result<Value, Error> {
    let event = event.payload;
    let method = event["requestContext"]["http"]["method"].as_str().unwrap_or("GET");
    let path = event["rawPath"].as_str().unwrap_or("/");
    let query = event["rawQueryString"].as_str().unwrap_or("");
    let url = format!("{target}{path}?{query}");
    let mut request = client.request(Method::from_bytes(method.as_bytes())?, url);
    if let Some(headers) = event["headers"].as_object() {
        for (name, value) in headers {
            if !name.eq_ignore_ascii_case("host") && !name.eq_ignore_ascii_case("content-length") {
                request = request.header(name, value.as_str().unwrap_or(""));
            }
        }
    }
    let reply = request.body(event["body"].as_str().unwrap_or("").to_owned()).send().await?;
    let status = reply.status().as_u16();
    let headers: Map<String, Value> = reply
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or(""))))
        .collect();
    let body = reply.text().await?;
    Ok(json!({"statusCode": status, "headers": headers, "body": body, "isBase64Encoded": false}))
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let target = std::env::var("BENCH_TARGET")?;
    let client = Client::new();
    run_concurrent(service_fn(move |event| handle(client.clone(), target.clone(), event))).await
}

//! ECS's own protocol, AWS JSON 1.1, over the connection that the other commands use.

use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, Limited};
use serde_json::{Map, Value};
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};

use super::{ANSWER_BYTES_MAX, Client, Connection, GRACE, refusal};
use crate::failure::{Exit, Failure};

/// Before an operation's name in `X-Amz-Target`.
const TARGET: &str = "AmazonEC2ContainerServiceV20141113";
const TARGET_HEADER: &str = "x-amz-target";
const JSON: &str = "application/x-amz-json-1.1";
/// The same over all tries of one call: members give a write that comes again under it one effect.
const INVOCATION_HEADER: &str = "amz-sdk-invocation-id";

impl Client {
    /// Asks for an operation by its name, and again while nobody leads or connections break, until the longest wait for an
    /// answer.
    ///
    /// # Errors
    /// A refusal under ECS's name of it, or nobody to ask.
    pub async fn raw(&self, operation: &str, request: &Map<String, Value>) -> Result<Value, Failure> {
        let answer = self.raw_bytes(operation, &Value::from(request.clone())).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| Failure::refused(format!("the member's answer is no JSON: {error}")))
    }

    /// The same, with the answer as it came.
    ///
    /// # Errors
    /// As [`Client::raw`].
    pub async fn raw_bytes(&self, operation: &str, request: &Value) -> Result<Vec<u8>, Failure> {
        let deadline = self.env.now() + self.answer_max;
        let invocation = self.env.new_id().to_string();
        let body = request.to_string();
        loop {
            let connection = self.connection().await?;
            let address = connection.address.clone();
            let left = deadline - self.env.now();
            match self.env.timeout(left + GRACE, post(connection, operation, &invocation, body.clone())).await {
                Ok(Ok((StatusCode::OK, answer))) => return Ok(answer),
                Ok(Ok((StatusCode::SERVICE_UNAVAILABLE, answer))) => {
                    self.pause(deadline, || refused(StatusCode::SERVICE_UNAVAILABLE, &answer, &address)).await?;
                }
                Ok(Ok((status, answer))) => return Err(refused(status, &answer, &address)),
                Ok(Err(why)) => self.pause(deadline, || refusal::nobody(&[(address, why)])).await?,
                Err(_) => {
                    self.pause(deadline, || refusal::nobody(&[(address, "no answer in time".into())])).await?;
                }
            }
        }
    }
}

/// The inner status is the member's; an error says that there is no answer.
async fn post(
    mut connection: Connection,
    operation: &str,
    invocation: &str,
    body: String,
) -> Result<(StatusCode, Vec<u8>), String> {
    let request = Request::post("/")
        .header(CONTENT_TYPE, JSON)
        .header(TARGET_HEADER, format!("{TARGET}.{operation}"))
        .header(INVOCATION_HEADER, invocation)
        .body(Body::new(Full::from(body)))
        .map_err(|error| error.to_string())?;
    let channel = connection.channel.ready().await.map_err(|error| error.to_string())?;
    let answer = channel.call(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok((status, body.map_err(|error| error.to_string())?.to_bytes().to_vec()))
}

fn refused(status: StatusCode, answer: &[u8], address: &str) -> Failure {
    let exit = if status == StatusCode::SERVICE_UNAVAILABLE { Exit::NoConnection } else { Exit::Refused };
    let error: Value = serde_json::from_slice(answer).unwrap_or_default();
    let Some(kind) = error["__type"].as_str() else {
        let what = format!("{address} answers {status} to ECS's JSON: is it a member, and as new as this client?");
        return Failure::new(exit, what).next("seawall version");
    };
    // SDKs take what stands after the last `#`.
    let kind = kind.rsplit('#').next().unwrap_or(kind);
    let message = error["message"].as_str().or(error["Message"].as_str()).unwrap_or_default();
    let failure = Failure::new(exit, format!("{kind}: {}", message.trim_end_matches('.')));
    if exit == Exit::NoConnection { failure.next("seawall status") } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_ecs_name_and_the_members_words() {
        let told = |status, answer: &str| refused(status, answer.as_bytes(), "http://m:1");
        let missing = r#"{"__type":"com.amazonaws.ecs#ClusterNotFoundException","message":"Cluster not found."}"#;
        let failure = told(StatusCode::BAD_REQUEST, missing);
        assert_eq!(
            (failure.to_string().as_str(), failure.exit),
            ("ClusterNotFoundException: Cluster not found", Exit::Refused)
        );
        let busy = told(StatusCode::SERVICE_UNAVAILABLE, r#"{"__type":"ServerException","message":"no leader"}"#);
        assert_eq!(busy.exit, Exit::NoConnection);
        assert!(told(StatusCode::NOT_FOUND, "").to_string().ends_with("next: seawall version"));
    }
}

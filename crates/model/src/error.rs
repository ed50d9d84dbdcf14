//! One error for every client protocol; the mapping to HTTP and gRPC stands at the edge.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// The exceptions of the ECS API, and Seawall's own (the last ones).
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl ErrorCode {
            /// As it stands in `__type` and in the metadata `x-seawall-error`.
            pub fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $text,)* }
            }

            /// The code called `text`; an unknown one is a server fault.
            pub fn from_name(text: &str) -> Self {
                match text { $($text => ErrorCode::$name,)* _ => ErrorCode::Server }
            }
        }
    };
}

codes! {
    /// The request is wrong in a way that no other code names.
    Client = "ClientException",
    /// A fault of ours, or no leader: worth trying again.
    Server = "ServerException",
    /// A parameter is wrong.
    InvalidParameter = "InvalidParameterException",
    /// Not allowed.
    AccessDenied = "AccessDeniedException",
    /// The request is not signed.
    MissingAuthenticationToken = "MissingAuthenticationTokenException",
    /// Signed with a key that is unknown, off or expired.
    UnrecognizedClient = "UnrecognizedClientException",
    /// The signature is not the key's, or its time is not ours.
    InvalidSignature = "InvalidSignatureException",
    /// What should be a signature is not in the form of one.
    IncompleteSignature = "IncompleteSignatureException",
    /// No such cluster.
    ClusterNotFound = "ClusterNotFoundException",
    /// No such service.
    ServiceNotFound = "ServiceNotFoundException",
    /// No such service deployment.
    ServiceDeploymentNotFound = "ServiceDeploymentNotFoundException",
    /// No service has that namespace.
    NamespaceNotFound = "NamespaceNotFoundException",
    /// The service is draining or deleted.
    ServiceNotActive = "ServiceNotActiveException",
    /// Not part of Seawall.
    UnsupportedFeature = "UnsupportedFeatureException",
    /// A limit of the API.
    LimitExceeded = "LimitExceededException",
    /// No such resource.
    ResourceNotFound = "ResourceNotFoundException",
    /// No such target of an attribute.
    TargetNotFound = "TargetNotFoundException",
    /// More than ten custom attributes.
    AttributeLimitExceeded = "AttributeLimitExceededException",
    /// A client token was used for another request.
    Conflict = "ConflictException",
    /// The cluster still has container instances.
    ClusterContainsContainerInstances = "ClusterContainsContainerInstancesException",
    /// The cluster still has services.
    ClusterContainsServices = "ClusterContainsServicesException",
    /// The cluster still has tasks.
    ClusterContainsTasks = "ClusterContainsTasksException",
    /// A change is under way.
    UpdateInProgress = "UpdateInProgressException",
    /// The cluster still has capacity providers of its own.
    ClusterContainsCapacityProvider = "ClusterContainsCapacityProviderException",
    /// The resource is in use.
    ResourceInUse = "ResourceInUseException",
    /// The agent is as new as it gets.
    NoUpdateAvailable = "NoUpdateAvailableException",
    /// The body is not JSON, or a member has a wrong type (of every AWS JSON service).
    Serialization = "SerializationException",
    /// The target is no operation (of every AWS JSON service).
    UnknownOperation = "UnknownOperationException",
    /// The body is over the limit (of every AWS JSON service).
    RequestTooLarge = "RequestEntityTooLargeException",
    /// The request is for another service than ECS and STS (Seawall).
    OtherService = "UnsupportedServiceException",
    /// `expected_version` is not the resource's version (Seawall).
    VersionMismatch = "VersionMismatchException",
    /// No member leads, or it did not answer in time (Seawall; ServerException and 503 for ECS's clients).
    NoLeader = "NoLeaderException",
    /// The write may or may not have happened (Seawall; ServerException for ECS's clients).
    Unknown = "OutcomeUnknownException",
    /// A limit of this member: too many requests or bytes wait (Seawall).
    Overloaded = "OverloadedException",
    /// The disk of too many members is nearly full (Seawall).
    DiskFull = "DiskFullException",
    /// The changes asked for are no longer kept (Seawall: watch).
    OutOfRange = "OutOfRangeException",
}

/// What a client is told. Never holds internal context: that is logged where it happens, under the request's id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiError {
    /// Which exception.
    pub code: ErrorCode,
    /// For people; ECS's words where ECS has some.
    pub message: String,
    /// ConflictException: what the token already made.
    pub resource_ids: Vec<String>,
}

impl ApiError {
    /// An error without resources.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError { code, message: message.into(), resource_ids: Vec::new() }
    }

    /// `InvalidParameterException`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameter, message)
    }

    /// `ClientException`.
    pub fn client(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Client, message)
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for ApiError {}

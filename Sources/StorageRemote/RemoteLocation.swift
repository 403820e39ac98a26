public import RepoBase
public import Storage

/// Where a repository is in an object store.
public enum RemoteLocation: Hashable, Sendable {
    case s3(S3Location)
    case azure(AzureLocation)
    case google(GoogleLocation)

    /// Nil for a scheme of another kind.
    /// - Parameter text: what stands behind the scheme's colon.
    ///
    /// Throws `.usage`.
    public init?(scheme: Substring, _ text: String) throws(RepoError) {
        switch scheme {
        case "s3": self = .s3(try S3Location(parsing: text))
        case "azblob": self = .azure(try AzureLocation(parsing: text))
        case "gs": self = .google(try GoogleLocation(parsing: text))
        default: return nil
        }
    }

    /// Sends nothing yet. Throws `.usage` for settings that contradict each other.
    /// - Parameter variable: of the environment.
    public func open(environment variable: @escaping StoreEnvironment, options: RemoteOptions = .init()) throws(RepoError) -> any Store {
        switch self {
        case .s3(let location): try S3Store.open(location, environment: variable, options: options)
        case .azure(let location): try AzureStore(location, environment: variable, options: options)
        case .google(let location): GoogleStore(location, environment: variable, options: options)
        }
    }

    /// The variables of the environment that decide where requests go and what they are signed with.
    public var variables: [String] {
        switch self {
        case .s3: S3Store.variables
        case .azure: AzureStore.variables
        case .google: GoogleStore.variables
        }
    }
}

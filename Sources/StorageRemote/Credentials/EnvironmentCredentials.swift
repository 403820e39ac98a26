import RepoBase

/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
struct EnvironmentCredentials: CredentialSource {
    let variable: StoreEnvironment

    var name: String { "the environment" }

    func load() throws(RepoError) -> S3Credentials? {
        switch (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        case (let access?, let secret?):
            return S3Credentials(accessKey: access, secretKey: secret, sessionToken: variable("AWS_SESSION_TOKEN"))
        case (nil, nil): return nil
        case (let access, _):
            let missing = access == nil ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY"
            throw RepoError(.usage, "half of the credentials for S3 is in the environment: \(missing) is not set", advice: "Set both, or neither.")
        }
    }
}

/// The value of a variable of the environment; nil where it is not set, or empty.
public typealias StoreEnvironment = @Sendable (_ name: String) -> String?

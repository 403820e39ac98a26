import RepoBase

/// A profile of `~/.aws/credentials` or `~/.aws/config`.
struct ProfileCredentials: CredentialSource {
    /// Nil: that of `AWS_PROFILE`, or the default one.
    let profile: String?
    let variable: StoreEnvironment

    var name: String { "profile '\(profileName)'" }

    private var profileName: String { profile ?? variable("AWS_PROFILE") ?? "default" }
    private var isNamed: Bool { profile ?? variable("AWS_PROFILE") != nil }

    func load() throws(RepoError) -> S3Credentials? {
        guard let settings = ProfileFile.settings(of: profileName, variable) else {
            guard isNamed else { return nil }
            throw RepoError(
                .usage, "there is no profile '\(profileName)' in ~/.aws/credentials or ~/.aws/config",
                advice: "Check AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE.")
        }
        if let access = settings["aws_access_key_id"], let secret = settings["aws_secret_access_key"] {
            return S3Credentials(accessKey: access, secretKey: secret, sessionToken: settings["aws_session_token"])
        }
        for (setting, kind) in [
            ("role_arn", "assumes a role"), ("sso_session", "signs in by SSO"), ("sso_start_url", "signs in by SSO"),
            ("credential_process", "runs a program"),
        ] where settings[setting] != nil {
            throw RepoError(
                .usage, "profile '\(profileName)' \(kind), which this program does not do by itself",
                advice: "Run it through 'aws configure export-credentials --profile \(profileName) --format env', or give the profile keys.")
        }
        guard isNamed else { return nil }
        throw RepoError(.usage, "profile '\(profileName)' has no aws_access_key_id and aws_secret_access_key", advice: "Add them.")
    }
}

extension ProfileCredentials {
    /// A setting of the profile: `region`, `endpoint_url`, `ca_bundle`.
    func setting(_ name: String) -> String? { ProfileFile.settings(of: profileName, variable)?[name] }
}

import RepoBase

/// Credentials of a container's task or pod, from an endpoint that its environment names.
///
/// Source: "Container credential provider" of the AWS SDKs and Tools reference guide.
struct ContainerCredentials: CredentialSource {
    let variable: StoreEnvironment
    let client: HTTPClient

    let name = "the container's service"

    /// Hosts that may be asked without TLS: this machine, and the two addresses of ECS and EKS.
    private static let plainHosts = ["127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"]

    func load() throws(RepoError) -> S3Credentials? {
        let url: String
        if let path = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            url = "http://169.254.170.2\(path.hasPrefix("/") ? "" : "/")\(path)"
        } else if let full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI") {
            guard full.hasPrefix("https://") || Self.plainHosts.contains(where: { full.hasPrefix("http://\($0)") && Self.ends(full, $0) })
            else {
                throw RepoError(
                    .usage, "AWS_CONTAINER_CREDENTIALS_FULL_URI names another machine without TLS", advice: "It has to begin with https://.")
            }
            url = full
        } else {
            return nil
        }
        var request = HTTPRequest(.get, url)
        request.limits = .metadata
        var token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
        if let file = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") { token = ProfileFile.read(file) }
        if let token { request.headers.append(HTTPHeader("Authorization", String(token.filter { !$0.isNewline }))) }
        let response: HTTPResponse
        do throws(HTTPFailure) {
            response = try client.send(request, to: .memory(atMost: 64 << 10))
        } catch {
            throw RepoError(.unreachable, "the container's service of credentials does not answer: \(error.message)", advice: "Try again.")
        }
        guard response.status == 200, let found = S3Credentials(service: response.body) else {
            throw RepoError(
                response.status >= 500 ? .unreachable : .failed, "the container's service of credentials answered \(response.status), without credentials",
                advice: "Check the role of the task or of the service account.")
        }
        return found
    }

    /// Whether the URL's host is all of `host`, and not its beginning.
    private static func ends(_ url: String, _ host: String) -> Bool {
        let next = url.dropFirst("http://\(host)".count).first
        return next == nil || next == ":" || next == "/"
    }
}

/// Credentials of the role of an EC2 instance, by version 2 of its metadata service: with a token, which a program that was tricked into
/// fetching a URL cannot get.
///
/// Source: "Use the Instance Metadata Service to access instance metadata" of the EC2 user guide.
struct InstanceCredentials: CredentialSource {
    let variable: StoreEnvironment
    let client: HTTPClient

    let name = "the instance's metadata service"

    func load() throws(RepoError) -> S3Credentials? {
        guard variable("AWS_EC2_METADATA_DISABLED")?.lowercased() != "true" else { return nil }
        var base = variable("AWS_EC2_METADATA_SERVICE_ENDPOINT") ?? "http://169.254.169.254"
        if base.hasSuffix("/") { base.removeLast() }
        var request = HTTPRequest(.put, base + "/latest/api/token")
        request.limits = .metadata
        request.headers = [HTTPHeader("X-aws-ec2-metadata-token-ttl-seconds", "21600")]
        // No answer, or none of this kind: not such a machine.
        guard let granted = try? client.send(request, to: .memory(atMost: 4096)), granted.status == 200,
            let token = String(validating: granted.body, as: UTF8.self)
        else { return nil }
        let roles = base + "/latest/meta-data/iam/security-credentials/"
        let role = try get(roles, token)
        guard role.status != 404 else { return nil }
        guard role.status == 200, let name = String(validating: role.body, as: UTF8.self)?.split(whereSeparator: \.isNewline).first else {
            throw Self.failure(role.status)
        }
        let answer = try get(roles + URLText.encoded(String(name)), token)
        guard answer.status == 200, let found = S3Credentials(service: answer.body) else { throw Self.failure(answer.status) }
        return found
    }

    private func get(_ url: String, _ token: String) throws(RepoError) -> HTTPResponse {
        var request = HTTPRequest(.get, url)
        request.limits = .metadata
        request.headers = [HTTPHeader("X-aws-ec2-metadata-token", token)]
        do throws(HTTPFailure) {
            return try client.send(request, to: .memory(atMost: 64 << 10))
        } catch {
            throw RepoError(.unreachable, "the instance's metadata service does not answer: \(error.message)", advice: "Try again.")
        }
    }

    private static func failure(_ status: Int) -> RepoError {
        RepoError(
            status >= 500 ? .unreachable : .failed, "the instance's metadata service answered \(status), without credentials",
            advice: "Check the role of the instance.")
    }
}

extension S3Credentials {
    /// An object of JSON, as both services answer with; nil for anything else.
    init?(service answer: [UInt8]) {
        guard let fields = FlatJSON.strings(answer), let access = fields["AccessKeyId"], let secret = fields["SecretAccessKey"],
            !access.isEmpty, !secret.isEmpty, fields["Code"] == nil || fields["Code"] == "Success"
        else { return nil }
        self.init(
            accessKey: access, secretKey: secret, sessionToken: fields["Token"].flatMap { $0.isEmpty ? nil : $0 },
            expires: fields["Expiration"].flatMap { HTTPTime.parse(iso: $0) })
    }
}

import RepoBase

/// What a request to Azure Blob Storage is authorised by.
enum AzureCredentials: StoreCredentials {
    /// The account's key, decoded.
    case key([UInt8])
    /// A shared access signature: the query that it is.
    case signature(String)
    case token(AccessToken)

    var expires: Int64? {
        switch self {
        case .token(let token): token.expires
        case .key, .signature: nil
        }
    }
}

/// The connection string, `AZURE_STORAGE_KEY` or `AZURE_STORAGE_SAS_TOKEN`, as Azure's command line names them.
struct AzureEnvironmentCredentials: CredentialSource {
    let variable: StoreEnvironment

    var name: String { "AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN" }

    func load() throws(RepoError) -> AzureCredentials? {
        let connection = try AzureConnectionString.of(variable)
        if let key = connection?["AccountKey"] { return .key(try Self.key(key, "AZURE_STORAGE_CONNECTION_STRING")) }
        if let signature = connection?["SharedAccessSignature"] {
            return .signature(try Self.signature(signature, "AZURE_STORAGE_CONNECTION_STRING"))
        }
        if let key = variable("AZURE_STORAGE_KEY") { return .key(try Self.key(key, "AZURE_STORAGE_KEY")) }
        if let signature = variable("AZURE_STORAGE_SAS_TOKEN") { return .signature(try Self.signature(signature, "AZURE_STORAGE_SAS_TOKEN")) }
        return nil
    }

    /// Messages do not quote the secret.
    private static func key(_ text: String, _ name: String) throws(RepoError) -> [UInt8] {
        guard let key = Digests.decoded(base64: text), !key.isEmpty else {
            throw RepoError(.usage, "the account's key in \(name) is not in Base64", advice: "Copy it as the portal shows it.")
        }
        return key
    }

    private static func signature(_ text: String, _ name: String) throws(RepoError) -> String {
        let query = text.hasPrefix("?") ? String(text.dropFirst()) : text
        guard query.split(separator: "&").contains(where: { $0.hasPrefix("sig=") }),
            query.utf8.allSatisfy({ $0 > 32 && $0 < 127 && $0 != UInt8(ascii: "#") })
        else {
            throw RepoError(
                .usage, "\(name) holds no shared access signature", advice: "It is a query with 'sig=', as the portal or 'az storage container generate-sas' gives it.")
        }
        return query
    }
}

/// `AZURE_STORAGE_CONNECTION_STRING`: names and values, joined by `;` ("Configure Azure Storage connection strings").
enum AzureConnectionString {
    static func of(_ variable: StoreEnvironment) throws(RepoError) -> [String: String]? {
        guard let text = variable("AZURE_STORAGE_CONNECTION_STRING") else { return nil }
        var fields: [String: String] = [:]
        for part in text.split(separator: ";") {
            guard let equals = part.firstIndex(of: "="), equals > part.startIndex else {
                throw RepoError(
                    .usage, "AZURE_STORAGE_CONNECTION_STRING is none", advice: "It has the form NAME=VALUE;NAME=VALUE, as the portal shows it.")
            }
            fields[String(part[..<equals])] = String(part[part.index(after: equals)...])
        }
        return fields
    }
}

/// A token of Microsoft Entra for an application: by its secret, or by a token of Kubernetes that stands for it (workload identity).
///
/// Source: "OAuth 2.0 client credentials flow on the Microsoft identity platform"; the variables are those of Azure's SDKs (EnvironmentCredential,
/// WorkloadIdentityCredential).
struct EntraCredentials: CredentialSource {
    let variable: StoreEnvironment
    let client: HTTPClient
    let now: @Sendable () -> Int64

    let name = "AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE"

    func load() throws(RepoError) -> AzureCredentials? {
        let secret = variable("AZURE_CLIENT_SECRET")
        let file = variable("AZURE_FEDERATED_TOKEN_FILE")
        guard secret != nil || file != nil else { return nil }
        guard let tenant = variable("AZURE_TENANT_ID"), let application = variable("AZURE_CLIENT_ID") else {
            throw RepoError(
                .usage, "AZURE_TENANT_ID and AZURE_CLIENT_ID have to be set beside \(secret != nil ? "AZURE_CLIENT_SECRET" : "AZURE_FEDERATED_TOKEN_FILE")",
                advice: "Set all three, or none.")
        }
        var form = [("client_id", application), ("grant_type", "client_credentials"), ("scope", "https://storage.azure.com/.default")]
        if let secret {
            form.append(("client_secret", secret))
        } else {
            guard let file, let assertion = ProfileFile.read(file)?.filter({ !$0.isWhitespace }), !assertion.isEmpty else {
                throw RepoError(.usage, "the token in \(file ?? "") cannot be read", advice: "Check AZURE_FEDERATED_TOKEN_FILE.")
            }
            form.append(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
            form.append(("client_assertion", assertion))
        }
        var authority = variable("AZURE_AUTHORITY_HOST") ?? "https://login.microsoftonline.com"
        if authority.hasSuffix("/") { authority.removeLast() }
        return .token(
            try TokenService(name: "Microsoft Entra", client: client, now: now).token(
                "\(authority)/\(URLText.encoded(tenant))/oauth2/v2.0/token", form: form,
                advice: "Check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, and whether the secret has expired."))
    }
}

/// The managed identity of a virtual machine, or of a container or function that has an endpoint for it.
///
/// Source: "How to use managed identities for Azure resources on an Azure VM to acquire an access token"; "How to use managed identities for App
/// Service and Azure Functions".
struct ManagedIdentityCredentials: CredentialSource {
    let variable: StoreEnvironment
    let client: HTTPClient
    let now: @Sendable () -> Int64

    let name = "the machine's managed identity"

    func load() throws(RepoError) -> AzureCredentials? {
        let service = TokenService(name: "the service of managed identities", client: client, now: now)
        var query = [("resource", "https://storage.azure.com/")]
        if let application = variable("AZURE_CLIENT_ID") { query.append(("client_id", application)) }
        let advice = "Give the machine an identity, and that the role 'Storage Blob Data Contributor'."
        let token: AccessToken?
        if let endpoint = variable("IDENTITY_ENDPOINT"), let header = variable("IDENTITY_HEADER") {
            // The container's own address without TLS: the header is a secret of this machine for this machine.
            token = try service.machineToken(
                endpoint + "?" + RequestSigner.canonicalQuery(query + [("api-version", "2019-08-01")]),
                headers: [HTTPHeader("X-IDENTITY-HEADER", header)], advice: advice, mayBeAbsent: false)
        } else {
            let host = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST")
            token = try service.machineToken(
                (host ?? "http://169.254.169.254") + "/metadata/identity/oauth2/token?" + RequestSigner.canonicalQuery(query + [("api-version", "2018-02-01")]),
                headers: [HTTPHeader("Metadata", "true")], advice: advice, mayBeAbsent: host == nil)
        }
        return token.map { .token($0) }
    }
}

@testable import StorageRemote

extension FuzzTarget {
    /// Locations, connection strings, signatures and keys of Azure and Google, as people and their environment write them.
    func cloud(_ bytes: [UInt8]) {
        guard let text = String(validating: bytes, as: UTF8.self) else { return }
        if let decoded = Digests.decoded(base64: text) { precondition(Digests.base64(decoded) == text, "Base64 has two forms") }
        if let location = try? GoogleLocation(parsing: text) {
            guard let again = try? GoogleLocation(parsing: String(location.description.dropFirst(3))) else {
                preconditionFailure("a location's name is none")
            }
            precondition(again.bucket == location.bucket && again.prefix == location.prefix, "a location's name is another's")
        }
        // Its name leaves options out; an account among them cannot be told from the rest.
        if let location = try? AzureLocation(parsing: text), !text.contains("account=") {
            guard let again = try? AzureLocation(parsing: String(location.description.dropFirst(7))) else {
                preconditionFailure("a location's name is none")
            }
            precondition(again.container == location.container && again.prefix == location.prefix, "a location's name is another's")
            _ = try? AzureDialect(location, { _ in text }, CredentialCache([], for: "", advice: "", now: { 0 }))
        }
        for name in ["AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"] {
            _ = try? AzureEnvironmentCredentials(variable: { $0 == name ? text : nil }).load()
        }
        _ = SignedToken.sign([1, 2, 3], text)
        _ = TokenService.isTrusted(text)
    }
}

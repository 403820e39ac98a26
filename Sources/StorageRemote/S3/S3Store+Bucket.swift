package import RepoBase

extension S3Store {
    /// Makes the bucket, for tests; the owner's existing one is no error.
    package func createBucket() throws(RepoError) {
        var request = S3Request(.put, "", "make the bucket")
        request.accepted = [200, 409]
        _ = try connection.send(request, to: .memory(atMost: 64 << 10))
    }
}

import RepoBase
import Storage

// Multipart upload (Amazon S3 user guide): parts travel at once, each with its checksum, and become an object in one step, which is
// create-only where that is asked for. Until then nothing is seen of them but in the list of uploads.
extension S3Store {
    func putInParts(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode, storageClass: String?) throws {
        let upload = try beginUpload(key, storageClass)
        do {
            let checksums = try sendParts(key, upload, bytes)
            try completeUpload(key, upload, checksums, mode)
        } catch {
            // Best effort: what stays is found by its age (`removeAbandonedPuts`).
            try? abortUpload(path(key), upload)
            throw error
        }
    }

    private func beginUpload(_ key: StoreKey, _ storageClass: String?) throws(RepoError) -> String {
        var request = RemoteRequest(.post, path(key), "store \(key)")
        request.query = [("uploads", "")]
        request.headers = headers(of: key, storageClass) + [HTTPHeader("x-amz-checksum-algorithm", "CRC32C")]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        guard let id = (try? XMLElement(parsing: response.body))?["UploadId"]?.text, !id.isEmpty else {
            throw RepoError(.failed, "cannot store \(key) in \(location): the server gives no id for an upload in parts")
        }
        return id
    }

    private struct Part: Sendable {
        let etag: String
        let checksum: String
    }

    private func sendParts(_ key: StoreKey, _ upload: String, _ bytes: UnsafeRawBufferPointer) throws(RepoError) -> [Part] {
        // S3 takes 10,000 parts.
        let size = max(options.partBytes, (bytes.count + 9_999) / 10_000)
        // The caller keeps the bytes alive until all threads have been joined.
        nonisolated(unsafe) let bytes = bytes
        return try ParallelWork.map((bytes.count + size - 1) / size, threads: options.partThreads) { index throws(RepoError) in
            let range = index * size..<min(bytes.count, (index + 1) * size)
            return try self.sendPart(key, upload, index + 1, UnsafeRawBufferPointer(rebasing: bytes[range]))
        }
    }

    private func sendPart(_ key: StoreKey, _ upload: String, _ number: Int, _ bytes: UnsafeRawBufferPointer) throws(RepoError) -> Part {
        let checksum = Digests.crc32c(bytes)
        var request = RemoteRequest(.put, path(key), "store part \(number) of \(key)")
        request.query = [("partNumber", "\(number)"), ("uploadId", upload)]
        request.headers = [HTTPHeader("x-amz-checksum-crc32c", checksum)]
        request.body = bytes
        let part = request
        return try retryingPart { () throws(RepoError) in
            let response = try connection.send(part, to: .memory(atMost: 64 << 10))
            try requireChecksum(response["x-amz-checksum-crc32c"], checksum, key)
            guard let etag = response["etag"] else {
                throw RepoError(.failed, "cannot store \(key) in \(location): the server gives a part no name")
            }
            return Part(etag: etag, checksum: checksum)
        }
    }

    private func completeUpload(_ key: StoreKey, _ upload: String, _ parts: [Part], _ mode: PutMode) throws {
        var document = "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        for (index, part) in parts.enumerated() {
            document += "<Part><ChecksumCRC32C>\(part.checksum)</ChecksumCRC32C><ETag>\(XMLElement.escaped(part.etag))</ETag>"
            document += "<PartNumber>\(index + 1)</PartNumber></Part>"
        }
        document += "</CompleteMultipartUpload>"
        let bytes = Array(document.utf8)
        try bytes.withUnsafeBytes { bytes in
            var request = RemoteRequest(.post, path(key), "store \(key)")
            request.query = [("uploadId", upload)]
            request.headers = [HTTPHeader("Content-Type", "application/xml")]
            request.body = bytes
            request.accepted = [200]
            // Joining many parts takes the server a while, in which it may send nothing.
            request.limits.stall = .seconds(600)
            if mode == .create {
                request.headers.append(HTTPHeader("If-None-Match", "*"))
                request.accepted.append(412)
            }
            let response = try connection.send(request, to: .memory(atMost: 64 << 10))
            if response.status == 412 {
                guard !response.wasResent else {
                    throw RepoError(.unreachable, "cannot store \(key) in \(location): the answer was lost", advice: "Try again.")
                }
                throw StoreError.conflict(key, in: location)
            }
            // The status goes out before the work is done: a failure may come with 200.
            guard let answer = try? XMLElement(parsing: response.body), answer.name == "CompleteMultipartUploadResult" else {
                throw connection.error(request, Self.failed(response))
            }
        }
    }

    /// As if the status had told the failure.
    private static func failed(_ response: HTTPResponse) -> HTTPResponse {
        var failed = response
        failed.status = ErrorAnswer(response).code == "PreconditionFailed" ? 409 : 500
        return failed
    }

    private func abortUpload(_ path: String, _ upload: String) throws(RepoError) {
        var request = RemoteRequest(.delete, path, "remove an unfinished upload of \(path)")
        request.query = [("uploadId", upload)]
        request.accepted += [404]
        _ = try connection.send(request, to: .memory(atMost: 64 << 10))
    }

    /// Aborts uploads in parts that were begun so long ago that nobody is at them any more. Returns how many.
    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int {
        let oldest = clock.now() - age.components.seconds
        var count = 0
        var markers: [(String, String)] = []
        while true {
            var request = RemoteRequest(.get, "", "list unfinished uploads")
            request.query = [("uploads", ""), ("prefix", prefix)] + markers
            let response = try connection.send(request, to: .memory(atMost: 16 << 20))
            guard let page = try? XMLElement(parsing: response.body), page.name == "ListMultipartUploadsResult" else { return count }
            for upload in page.all("Upload") {
                guard let key = upload["Key"]?.text, key.utf8.starts(with: prefix.utf8), let id = upload["UploadId"]?.text,
                    let begun = upload["Initiated"].flatMap({ HTTPTime.parse(iso: $0.text) }), begun < oldest
                else { continue }
                try abortUpload(key, id)
                count += 1
            }
            guard page["IsTruncated"]?.text == "true", let key = page["NextKeyMarker"]?.text, let id = page["NextUploadIdMarker"]?.text,
                markers.first?.1 != key || markers.last?.1 != id
            else { return count }
            markers = [("key-marker", key), ("upload-id-marker", id)]
        }
    }
}

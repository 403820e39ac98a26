import RepoBase
import Storage

// Resumable uploads ("Perform resumable uploads", "Resumable uploads" of the Cloud Storage documentation): a session is begun under the condition that
// the put has, parts follow one another, and the server says how far it has come. The object appears with the last part. A session that is left alone
// ends by itself after a week, and is told in no listing.
extension GoogleStore {
    func putResumably(_ key: StoreKey, _ bytes: UnsafeRawBufferPointer, _ mode: PutMode) throws {
        let checksum = Digests.crc32c(bytes)
        guard let session = try beginSession(key, checksum, mode) else { throw StoreError.conflict(key, in: location) }
        let upload = ResumableUpload(key: key, session: session, bytes: bytes, checksum: checksum)
        // Parts but the last have a multiple of 256 KiB.
        let size = max(options.partBytes >> 18, 1) << 18
        var sent = 0
        var breaks = 0
        while true {
            var outcome: Outcome
            do throws(RepoError) {
                outcome = try send(upload, sent..<min(sent + size, bytes.count))
            } catch {
                guard error.code == .unreachable else { throw error }
                breaks += 1
                guard let wait = RetryPolicy.part.delay(afterFailures: breaks, elapsed: .zero, random: .random(in: 0..<1)) else { throw error }
                clock.sleep(wait)
                outcome = try retryingPart { () throws(RepoError) in try progress(upload) }
            }
            switch outcome {
            case .stored(let told): return try requireChecksum(told, checksum, key)
            case .refused(let wasResent):
                // Somebody else was first; but where an answer was lost, that may have been this very upload.
                if breaks > 0 || wasResent { throw uncertain(upload.request) }
                throw StoreError.conflict(key, in: location)
            case .received(let count):
                // Less than before is nothing that a server may say, more than was sent neither.
                guard count >= sent, count < bytes.count, count > sent || breaks > 0 else {
                    throw RepoError(.unreachable, "cannot store \(key) in \(location): the upload does not go on", advice: "Try again.")
                }
                if count > sent { breaks = min(breaks, 1) }
                sent = count
            }
        }
    }

    private struct ResumableUpload {
        let key: StoreKey
        /// The query of the session's address.
        let session: [(String, String)]
        let bytes: UnsafeRawBufferPointer
        let checksum: String

        var request: RemoteRequest { RemoteRequest(.put, "", "store \(key)") }
    }

    private enum Outcome {
        /// The object is there; the checksum that the server tells.
        case stored(String?)
        case refused(wasResent: Bool)
        /// So many bytes are there.
        case received(Int)
    }

    /// Nil where the name is taken already. Of the session's address only the query counts: nothing is sent to another place than the location's.
    private func beginSession(_ key: StoreKey, _ checksum: String, _ mode: PutMode) throws(RepoError) -> [(String, String)]? {
        var request = RemoteRequest(.post, path(key), "store \(key)")
        request.headers = headers(of: key, checksum, mode) + [HTTPHeader("x-goog-resumable", "start")]
        request.accepted = [200, 201, 412]
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        if response.status == 412 { return nil }
        let query = response["location"].flatMap { place in place.firstIndex(of: "?").map { place[place.index(after: $0)...] } } ?? ""
        let session = query.split(separator: "&").compactMap { pair -> (String, String)? in
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = URLText.decoded(halves[0]), let value = URLText.decoded(halves.count > 1 ? halves[1] : "") else { return nil }
            return (name, value)
        }
        guard session.contains(where: { $0.0 == "upload_id" && !$0.1.isEmpty }) else {
            throw RepoError(.failed, "cannot store \(key) in \(location): the server gives no address for a resumable upload")
        }
        return session
    }

    private func send(_ upload: ResumableUpload, _ range: Range<Int>) throws(RepoError) -> Outcome {
        var request = RemoteRequest(.put, path(upload.key), "store bytes \(range.lowerBound) to \(range.upperBound) of \(upload.key)")
        request.query = upload.session
        request.headers = [HTTPHeader("Content-Range", "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(upload.bytes.count)")]
        if range.upperBound == upload.bytes.count { request.headers.append(HTTPHeader("x-goog-hash", "crc32c=\(upload.checksum)")) }
        request.body = UnsafeRawBufferPointer(rebasing: upload.bytes[range])
        return try outcome(request)
    }

    /// How far the server has come.
    private func progress(_ upload: ResumableUpload) throws(RepoError) -> Outcome {
        var request = RemoteRequest(.put, path(upload.key), "look how far \(upload.key) has come")
        request.query = upload.session
        request.headers = [HTTPHeader("Content-Range", "bytes */\(upload.bytes.count)")]
        return try outcome(request)
    }

    private func outcome(_ request: RemoteRequest) throws(RepoError) -> Outcome {
        var request = request
        request.accepted = [200, 201, 308, 412]
        request.limits.stall = .seconds(120)
        let response = try connection.send(request, to: .memory(atMost: 64 << 10))
        switch response.status {
        case 308:
            // "bytes=0-N", or nothing where nothing has arrived.
            guard let range = response["range"] else { return .received(0) }
            guard let last = range.split(separator: "-").last.flatMap({ Int($0) }), last >= 0, last < .max else {
                throw RepoError(.failed, "cannot \(request.action) in \(location): the server does not say how far it has come")
            }
            return .received(last + 1)
        case 412: return .refused(wasResent: response.wasResent)
        default: return .stored(Self.checksum(response))
        }
    }
}

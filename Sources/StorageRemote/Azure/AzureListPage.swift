import RepoBase

extension ListPage {
    /// An answer to List Blobs (Azure Storage REST reference).
    ///
    /// Throws where anything is missing that a whole listing needs: half a listing must not pass for a whole one.
    init(azure bytes: [UInt8]) throws(RepoError) {
        var page = ListPage()
        try Self.parsing { try page.read(azure: bytes) }
        self = page
    }

    private mutating func read(azure bytes: [UInt8]) throws {
        var scanner = XMLScanner(bytes)
        var path: [String] = []
        var text = ""
        var object = Object()
        var folder = ""
        var isDirectory = false
        var isDeleted = false
        var saysWhereToGoOn = false
        while let event = try scanner.next() {
            switch event {
            case .start(let name):
                path.append(name)
                text = ""
                if path.count == 1, name != "EnumerationResults" { throw Self.wrong("it is '\(name)'") }
                if path.count == 3 {
                    object = Object()
                    folder = ""
                    isDirectory = false
                    isDeleted = false
                }
            case .text(let part): text += part
            case .end:
                switch path.dropFirst().joined(separator: "/") {
                case "NextMarker":
                    saysWhereToGoOn = true
                    continuation = text.isEmpty ? nil : text
                case "Blobs/Blob/Name": object.key = text
                case "Blobs/Blob/Properties/Content-Length": object.size = UInt64(text)
                case "Blobs/Blob/Properties/Last-Modified": object.modified = HTTPTime.parse(http: text)
                // Accounts with a hierarchical namespace tell directories too.
                case "Blobs/Blob/Properties/ResourceType": isDirectory = text == "directory"
                case "Blobs/Blob/Metadata/\(AzureStore.deletionMark)": isDeleted = true
                case "Blobs/Blob": if !isDirectory, !isDeleted { objects.append(object) }
                case "Blobs/BlobPrefix/Name": folder = text
                case "Blobs/BlobPrefix": folders.append(folder)
                default: break
                }
                path.removeLast()
                text = ""
            }
        }
        guard saysWhereToGoOn else { throw Self.wrong("it does not say whether it is whole") }
        if objects.contains(where: { $0.size == nil || $0.modified == nil }) { throw Self.wrong("an object has no size or time") }
    }
}

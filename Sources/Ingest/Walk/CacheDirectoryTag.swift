import Glibc

/// The mark by which programs say that a directory's content can be made anew.
///
/// Source: Cache Directory Tagging Specification, Bryan Ford (bford.info/cachedir).
enum CacheDirectoryTag {
    static let name: StaticString = "CACHEDIR.TAG"
    static let signature = Array("Signature: 8a477f597d28d172789f06886806bc55".utf8)

    /// Whether the directory has a tag: a regular file of that name which starts with the signature. A tag
    /// that cannot be read is none.
    static func marks(directory: CInt, _ listing: DirectoryListing, calls: FileSystemCalls) -> Bool {
        guard listing.contains(name) else { return false }
        let result = name.description.withCString {
            calls.open($0, in: directory, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        }
        guard result >= 0 else { return false }
        let file = OwnedDescriptor(CInt(result))
        var status = stat()
        guard calls.status(of: file.number, into: &status) >= 0, status.st_mode & S_IFMT == S_IFREG
        else { return false }
        return withUnsafeTemporaryAllocation(byteCount: signature.count, alignment: 1) { start in
            calls.read(file.number, into: start, at: 0) == signature.count && start.elementsEqual(signature)
        }
    }
}

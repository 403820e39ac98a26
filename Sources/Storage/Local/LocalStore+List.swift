import Glibc
import RepoBase

extension LocalStore {
    /// A file in the store's directory that is no object.
    public struct Stray: Hashable, Sendable {
        /// Relative to the store's directory. Bytes that are no UTF-8 are replaced.
        public let path: String
        /// Bytes; 0 for a directory, whose content is not looked at.
        public let size: UInt64
        /// Seconds since 1970.
        public let modified: Int64
        /// An unfinished or abandoned put of this program.
        public let isTemporary: Bool
    }

    /// Walks the directories that can hold such keys. Costs one fstatat(2) an object; the names of one
    /// directory at a time are held in memory, so `body` may call the store.
    public func list(_ prefix: String, _ body: (StoredObject) throws -> Void) throws {
        try list(prefix, .objects) { found in
            if case .object(let object) = found { try body(object) }
        }
    }

    /// As `list`, but for file systems that tell in a directory what its entries are: those cost no call an object.
    public func listKeys(_ prefix: String, _ body: (StoreKey) throws -> Void) throws {
        try list(prefix, .keys) { found in
            if case .key(let key) = found { try body(key) }
        }
    }

    private func list(_ prefix: String, _ sought: Sought, _ visit: (Found) throws -> Void) throws {
        guard let (directory, begin) = StorePath.start(of: prefix) else { return }
        try ensurePresent(.list(directory))
        try walk(directory, namesBeginning: begin, sought, visit)
    }

    /// Reads one directory. Empty folders are named too.
    public func folders(in folder: String) throws -> [String] {
        guard folder.isEmpty || StoreKey(checking: folder) != nil else { return [] }
        try ensurePresent(.list(folder))
        var names: [String] = []
        for entry in try entries(of: folder) {
            let path = StorePath.joined(folder, entry.name)
            guard StoreKey(checking: path) != nil else { continue }
            var isDirectory = entry.isDirectory
            if isDirectory == nil {
                var status = Glibc.stat()
                isDirectory = calls.status(path, in: root.descriptor, into: &status) >= 0 && status.isDirectory
            }
            if isDirectory == true { names.append(entry.name) }
        }
        return names
    }

    /// Calls `body` for everything in the directory that is no object: unfinished puts and files of others.
    public func strays(_ body: (Stray) throws -> Void) throws {
        try ensurePresent(.list(""))
        try walk("", namesBeginning: "", .strays) { found in
            if case .stray(let stray) = found { try body(stray) }
        }
    }

    /// Removes unfinished puts that nobody has written to for `age`. Returns how many.
    ///
    /// A put writes without pause, so one that has been silent for a day belongs to a process that is gone.
    /// One removed too early fails, and stores nothing.
    @discardableResult
    public func removeAbandonedPuts(olderThan age: Duration) throws -> Int {
        let oldest = clock.now() - age.components.seconds
        var count = 0
        try strays { stray in
            guard stray.isTemporary, stray.modified < oldest else { return }
            let result = calls.unlink(stray.path, in: root.descriptor)
            guard result >= 0 || isAbsence(result) else { throw failure(.clean(stray.path), .unlink, result) }
            if result >= 0 { count += 1 }
        }
        return count
    }

    private enum Sought {
        case objects, keys, strays
    }

    private enum Found {
        case object(StoredObject)
        case key(StoreKey)
        case stray(Stray)
    }

    private func walk(
        _ directory: String, namesBeginning begin: Substring, _ sought: Sought, _ visit: (Found) throws -> Void
    ) throws {
        let withStrays = sought == .strays
        for entry in try entries(of: directory) where entry.name.utf8.starts(with: begin.utf8) {
            let path = StorePath.joined(directory, entry.name)
            let key = StoreKey(checking: path)
            if key == nil, !withStrays { continue }
            if key != nil, entry.isDirectory == true {
                try walk(path, namesBeginning: "", sought, visit)
                continue
            }
            if sought == .keys, let key, entry.isRegularFile {
                try visit(.key(key))
                continue
            }
            var status = Glibc.stat()
            let result = calls.status(path, in: root.descriptor, into: &status)
            if result < 0 {
                guard isAbsence(result) else { throw failure(.inspect(path), .stat, result) }
            } else if let key, status.isDirectory {
                try walk(key.description, namesBeginning: "", sought, visit)
            } else if let key, status.isRegularFile {
                try visit(sought == .keys ? .key(key) : .object(StoredObject(key: key, status: status)))
            } else if withStrays {
                try visit(.stray(Stray(path: path, name: entry.name, status: status)))
            }
        }
    }

    /// The names in a directory; none where it is absent.
    private func entries(of directory: String) throws -> [DirectoryEntry] {
        let path = directory.isEmpty ? "." : directory
        let descriptor = calls.open(path, in: root.descriptor, O_RDONLY | O_DIRECTORY)
        if isAbsence(descriptor) { return [] }
        guard descriptor >= 0 else { throw failure(.list(directory), .open, descriptor) }
        var entries: [DirectoryEntry] = []
        let result = calls.entries(of: CInt(descriptor), path, into: &entries)
        guard result >= 0 else { throw failure(.list(directory), .readdir, result) }
        return entries
    }
}

extension LocalStore.Stray {
    fileprivate init(path: String, name: String, status: stat) {
        self.path = path
        size = status.isRegularFile ? UInt64(status.st_size) : 0
        modified = Int64(status.st_mtim.tv_sec)
        isTemporary = status.isRegularFile && name.hasPrefix(StorePath.temporaryPrefix)
    }
}

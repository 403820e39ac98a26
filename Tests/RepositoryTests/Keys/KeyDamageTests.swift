import BlobEngine
import RepoBase
import Repository
import Storage
import Testing

/// Every byte of what a store holds may be changed by whoever runs it.
@Suite struct KeyDamageTests {
    static let config = StoreKey("config")

    @Test func `every changed byte of config is damage`() throws {
        var (store, keyRing) = try KeyFixtures.create()
        let machine = try keyRing.addMachineKey(to: store)
        let bytes = try store.bytes(Self.config)
        for index in bytes.indices {
            for mask: UInt8 in [0x01, 0x80] {
                var changed = bytes
                changed[index] ^= mask
                try store.put(Self.config, changed, .replace)
                #expect(code { _ = try KeyRing.open(store, machine.credentials) } == .damaged, "\(index)")
            }
            if index % 16 == 0 {
                #expect(
                    code { _ = try KeyRing.open(store, .password(KeyFixtures.password)) } == .damaged,
                    "\(index)")
            }
        }
    }

    @Test func `config cut short or with bytes behind it is damage`() throws {
        var (store, keyRing) = try KeyFixtures.create()
        let machine = try keyRing.addMachineKey(to: store)
        let bytes = try store.bytes(Self.config)
        for count in bytes.indices {
            try store.put(Self.config, Array(bytes[..<count]), .replace)
            #expect(code { _ = try KeyRing.open(store, machine.credentials) } == .damaged, "\(count)")
        }
        try store.put(Self.config, bytes + [0], .replace)
        #expect(code { _ = try KeyRing.open(store, machine.credentials) } == .damaged)
    }

    /// No command gets further, so 'repo check' is no advice here.
    @Test func `a damaged config's error names the generation to bring it back from`() throws {
        var (store, keyRing) = try KeyFixtures.create()
        _ = try keyRing.addMachineKey(to: store)
        let generations = try store.list("configs/").map(\.key).sorted()
        let (last, before) = (generations[generations.count - 1], generations[generations.count - 2])
        let whole = try store.bytes(Self.config)
        func advice() throws -> String {
            try store.put(Self.config, Array(whole.dropLast()), .replace)
            let error = #expect(throws: RepoError.self) { _ = try KeyRing.open(store, .password(KeyFixtures.password)) }
            return try #require(error?.advice)
        }
        #expect(try advice().contains("\(last), from which config was copied, is whole"))
        try store.put(last, [1, 2, 3], .replace)
        #expect(try advice().hasPrefix("\(last) is damaged as well"))
        #expect(try advice().contains("\(before) is whole, and older"))
        for key in generations { try store.put(key, [], .replace) }
        #expect(try advice().contains("nothing below configs/ is whole"))
        // What the advice says works.
        try store.put(last, whole, .replace)
        try store.put(Self.config, store.bytes(last), .replace)
        #expect(throws: Never.self) { _ = try KeyRing.open(store, .password(KeyFixtures.password)) }
    }

    @Test func `config of another repository is refused`() throws {
        let (store, _) = try KeyFixtures.create()
        let (other, _) = try KeyFixtures.create()
        try store.put(Self.config, other.bytes(Self.config), .replace)
        #expect(code { _ = try KeyRing.open(store, .password(KeyFixtures.password)) } == .damaged)
    }

    /// A flipped bit, or an end that is missing, is never called a wrong password: the key has signed its object.
    @Test(arguments: [KeyKind.password, .machine])
    func `every changed byte of a key's object is damage`(kind: KeyKind) throws {
        var (store, keyRing) = try KeyFixtures.create()
        let credentials: Credentials
        let key: StoreKey
        switch kind {
        case .password:
            (credentials, key) = (.password(KeyFixtures.password), StoreKey("keys/\(keyRing.keyID)"))
        case .machine:
            let added = try keyRing.addMachineKey(to: store)
            (credentials, key) = (added.credentials, StoreKey("keys/\(added.id)"))
        }
        let bytes = try store.bytes(key)
        #expect(bytes.count == 61 + 208 + 16 + 64)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            try store.put(key, changed, .replace)
            // A signature that is damaged alone keeps nobody out; a check names it.
            #expect(code { _ = try KeyRing.open(store, credentials) } == (index < 61 + 208 + 16 ? .damaged : nil), "\(index)")
        }
        for count in bytes.indices {
            try store.put(key, Array(bytes[..<count]), .replace)
            #expect(code { _ = try KeyRing.open(store, credentials) } == .damaged, "\(count)")
        }
        try store.put(key, bytes, .replace)
        #expect(code { _ = try KeyRing.open(store, credentials) } == nil)
        guard case .password = credentials else { return }
        #expect(code { _ = try KeyRing.open(store, .password(Array("another".utf8))) } == .wrongKey)
    }

    @Test func `a key's object under another key's name is refused`() throws {
        var (store, keyRing) = try KeyFixtures.create()
        let one = try keyRing.addMachineKey(to: store)
        let two = try keyRing.addMachineKey(to: store)
        try store.put(StoreKey("keys/\(two.id)"), store.bytes(StoreKey("keys/\(one.id)")), .replace)
        #expect(code { _ = try KeyRing.open(store, two.credentials) } == .damaged)
        let own = try store.bytes(StoreKey("keys/\(keyRing.keyID)"))
        try store.delete(StoreKey("keys/\(keyRing.keyID)"))
        try store.put(StoreKey("keys/\(one.id)"), own, .replace)
        #expect(code { _ = try KeyRing.open(store, .password(KeyFixtures.password)) } == .damaged)
    }

    @Test func `scrypt parameters beyond the limits are refused before they cost anything`() throws {
        let (store, keyRing) = try KeyFixtures.create()
        let key = StoreKey("keys/\(keyRing.keyID)")
        for parameters: [UInt8] in [
            [22, 32, 16], [63, 8, 1], [9, 8, 1], [15, 0, 1], [15, 33, 1], [15, 8, 17],
        ] {
            var changed = try store.bytes(key)
            changed.replaceSubrange(14..<17, with: parameters)
            try store.put(key, changed, .replace)
            #expect(code { _ = try KeyRing.open(store, .password(KeyFixtures.password)) } == .damaged)
        }
    }
}

import Foundation
import RepoBase
import Testing

@testable import StorageRemote

@Suite("Credentials for S3")
struct CredentialTests {
    private let client = HTTPClient(.init(usesProxies: false))

    private func folder(_ files: [String: String]) throws -> String {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("aws-\(UUID())").path
        try FileManager.default.createDirectory(atPath: path + "/.aws", withIntermediateDirectories: true)
        for (name, text) in files { try text.write(toFile: "\(path)/.aws/\(name)", atomically: true, encoding: .utf8) }
        return path
    }

    @Test func theEnvironmentGivesBothHalvesOrNone() throws {
        func load(_ environment: [String: String]) throws -> S3Credentials? { try EnvironmentCredentials(variable: { environment[$0] }).load() }
        #expect(try load([:]) == nil)
        #expect(try load(["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"]) == S3Credentials(accessKey: "a", secretKey: "s"))
        #expect(try load(["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": "t"])?.sessionToken == "t")
        for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = #expect(throws: RepoError.self) { try load([half: "only"]) }
            #expect(error?.code == .usage)
        }
    }

    @Test func profilesAreReadFromBothFiles() throws {
        let home = try folder([
            "credentials": """
                # people's notes
                [default]
                aws_access_key_id = first
                aws_secret_access_key=one=two
                [other]
                  aws_access_key_id = nested and ignored
                aws_access_key_id = second
                aws_secret_access_key = s2
                aws_session_token = token
                """,
            "config": """
                [default]
                region = eu-central-1
                s3 =
                    addressing_style = path
                [profile other]
                region = eu-west-3
                endpoint_url = https://s3.example
                [profile role]
                role_arn = arn:aws:iam::1:role/x
                """,
        ])
        defer { try? FileManager.default.removeItem(atPath: home) }
        func source(_ profile: String?, _ more: [String: String] = [:]) -> ProfileCredentials {
            let environment = ["HOME": home].merging(more) { $1 }
            return ProfileCredentials(profile: profile, variable: { environment[$0] })
        }
        #expect(try source(nil).load() == S3Credentials(accessKey: "first", secretKey: "one=two"))
        #expect(try source("other").load() == S3Credentials(accessKey: "second", secretKey: "s2", sessionToken: "token"))
        #expect(try source(nil, ["AWS_PROFILE": "other"]).load()?.accessKey == "second")
        #expect(source("other").setting("region") == "eu-west-3" && source(nil).setting("region") == "eu-central-1")
        #expect(source(nil).setting("addressing_style") == nil, "a nested setting is another's")
        let environment = ["HOME": home, "AWS_PROFILE": "other"]
        #expect(try S3Settings(S3Location(parsing: "//bucket"), { environment[$0] }).origin == "https://s3.example")
        for profile in ["role", "absent"] {
            let error = #expect(throws: RepoError.self) { try source(profile).load() }
            #expect(error?.code == .usage && error?.advice.isEmpty == false)
        }
        #expect(try ProfileCredentials(profile: nil, variable: { _ in nil }).load() == nil)
    }

    @Test func aContainerIsAskedWithItsToken() throws {
        let server = try ScriptedHTTP { request in
            guard request.headers["authorization"] == "Basic abc" else { return (401, "", "") }
            return (200, "", #"{"AccessKeyId": "ASIA\u0041", "SecretAccessKey": "s\/1", "Token": "t", "Expiration": "2030-01-01T00:00:00Z", "More": [1, {"a": null}]}"#)
        }
        defer { server.stop() }
        func load(_ environment: [String: String]) throws -> S3Credentials? {
            try ContainerCredentials(variable: { environment[$0] }, client: client).load()
        }
        let full = ["AWS_CONTAINER_CREDENTIALS_FULL_URI": server.origin + "/v1/credentials"]
        #expect(
            try load(full.merging(["AWS_CONTAINER_AUTHORIZATION_TOKEN": "Basic abc"]) { $1 })
                == S3Credentials(accessKey: "ASIAA", secretKey: "s/1", sessionToken: "t", expires: 1_893_456_000))
        #expect(throws: RepoError.self) { try load(full) }
        #expect(try load([:]) == nil)
        for elsewhere in ["http://example.com/", "http://127.0.0.1.example.com/", "http://localhost@example.com/"] {
            let error = #expect(throws: RepoError.self) { try load(["AWS_CONTAINER_CREDENTIALS_FULL_URI": elsewhere]) }
            #expect(error?.code == .usage, "a token goes to no other machine in the clear")
        }
    }

    @Test func anInstanceIsAskedWithASessionOfVersion2() throws {
        let server = try ScriptedHTTP { request in
            switch (request.method, request.target) {
            case ("PUT", "/latest/api/token"):
                return request.headers["x-aws-ec2-metadata-token-ttl-seconds"] == "21600" ? (200, "", "session") : (400, "", "")
            case _ where request.headers["x-aws-ec2-metadata-token"] != "session": return (401, "", "")
            case ("GET", "/latest/meta-data/iam/security-credentials/"): return (200, "", "backup-role\n")
            case ("GET", "/latest/meta-data/iam/security-credentials/backup-role"):
                return (200, "", #"{"Code": "Success", "AccessKeyId": "A", "SecretAccessKey": "S", "Token": "T", "Expiration": "2030-01-01T00:00:00Z"}"#)
            default: return (404, "", "")
            }
        }
        defer { server.stop() }
        let environment = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.origin]
        let source = InstanceCredentials(variable: { environment[$0] }, client: client)
        #expect(try source.load() == S3Credentials(accessKey: "A", secretKey: "S", sessionToken: "T", expires: 1_893_456_000))
        let disabled = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": server.origin, "AWS_EC2_METADATA_DISABLED": "true"]
        #expect(try InstanceCredentials(variable: { disabled[$0] }, client: client).load() == nil)
        #expect(server.requests.count == 3)
        let nobody = ["AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1:1"]
        #expect(try InstanceCredentials(variable: { nobody[$0] }, client: client).load() == nil, "this is no such machine")
    }

    private final class Scripted: CredentialSource {
        let name = "a script"
        let answers: Monitor<[Result<S3Credentials?, RepoError>]>
        init(_ answers: [Result<S3Credentials?, RepoError>]) { self.answers = Monitor(answers) }
        func load() throws(RepoError) -> S3Credentials? {
            try answers.withLock { answers throws(RepoError) in try answers.isEmpty ? nil : answers.removeFirst().get() }
        }
    }

    @Test func credentialsAreRenewedBeforeTheyExpire() throws {
        let now = Monitor<Int64>(1000)
        func some(_ name: String, _ expires: Int64?) -> Result<S3Credentials?, RepoError> {
            .success(S3Credentials(accessKey: name, secretKey: "s", sessionToken: "t", expires: expires))
        }
        let source = Scripted([
            some("first", 5000), some("second", 9000), .failure(RepoError(.unreachable, "late")), .failure(RepoError(.unreachable, "late")),
            some("third", nil),
        ])
        let cache = S3CredentialCache([Scripted([]), source], now: { now.withLock { $0 } })
        func current(at time: Int64) throws -> String {
            now.withLock { $0 = time }
            return try cache.current().accessKey
        }
        #expect(try current(at: 1000) == "first")
        #expect(try current(at: 4600) == "first")
        #expect(try current(at: 4701) == "second", "five minutes before their end")
        #expect(try current(at: 8800) == "second", "still valid, and others are not to be had")
        #expect(throws: RepoError.self) { try current(at: 9001) }
        #expect(try current(at: 9002) == "third")
        #expect(try cache.discard(cache.current()), "what has a token may be renewed")
        let none = S3CredentialCache([Scripted([])], now: { 0 })
        let error = #expect(throws: RepoError.self) { try none.current() }
        #expect(error?.code == .usage && error?.message.contains("a script") == true)
    }

    @Test func aClockThatIsWrongIsCorrectedByTheServers() throws {
        let server = try ScriptedHTTP { request in
            let date = request.headers["x-amz-date"] ?? ""
            let headers = "Date: Fri, 24 May 2013 00:00:00 GMT\r\nLast-Modified: Fri, 24 May 2013 00:00:00 GMT\r\n"
            return date.hasPrefix("20130524T0000") ? (200, headers, "") : (403, headers, "")
        }
        defer { server.stop() }
        let settings = try S3Settings(S3Location(parsing: "\(server.origin)/bucket"), { _ in nil })
        let source = Scripted([.success(S3Credentials(accessKey: "a", secretKey: "b"))])
        let store = S3Store(
            settings, name: "s3", credentials: S3CredentialCache([source], now: { 0 }), options: .init(),
            clock: .init(now: { 1_000_000 }, elapsed: { .zero }, sleep: { _ in }))
        #expect(throws: Never.self) { try store.delete(.init("a/b")) }
        #expect(server.requests.count == 2)
        try store.delete(.init("a/c"))
        #expect(server.requests.count == 3, "once is enough")
    }

    @Test func aRedirectIsNotFollowed() throws {
        let target = try ScriptedHTTP { _ in (200, "", "") }
        let server = try ScriptedHTTP { _ in (307, "Location: \(target.origin)/elsewhere\r\n", "") }
        defer {
            server.stop()
            target.stop()
        }
        let settings = try S3Settings(S3Location(parsing: "\(server.origin)/bucket"), { _ in nil })
        let source = Scripted([.success(S3Credentials(accessKey: "a", secretKey: "b"))])
        let store = S3Store(settings, name: "s3", credentials: S3CredentialCache([source], now: { 0 }), options: .init(), clock: .system)
        #expect(throws: RepoError.self) { try store.delete(.init("a/b")) }
        #expect(target.requests.isEmpty)
    }

    @Test func otherJSONIsRefused() {
        for text in ["", "[]", "{", #"{"a"}"#, #"{"a": }"#, #"{"a": "b""#, "{\"a\": \"\u{1}\"}", #"{"a": "b"} x"#, String(repeating: "{\"a\":", count: 100)] {
            #expect(FlatJSON.strings(Array(text.utf8)) == nil, "\(text)")
        }
        #expect(FlatJSON.strings(Array(#"{"a": {"b": "c"}, "d": "e", "f": -1.5e3, "g": [[]], "h": {}}"#.utf8)) == ["d": "e"])
    }
}

import RepoBase
import Testing

@testable import StorageRemote

@Suite("Locations in S3")
struct S3LocationTests {
    private func settings(_ text: String, _ environment: [String: String] = [:]) throws -> S3Settings {
        try S3Settings(S3Location(parsing: text), { environment[$0] })
    }

    @Test(
        "say where requests go",
        arguments: [
            ("//backup/db", [:], "https://backup.s3.us-east-1.amazonaws.com", "/", "db/"),
            ("//backup", [:], "https://backup.s3.us-east-1.amazonaws.com", "/", ""),
            ("//backup/a/b/", ["AWS_REGION": "eu-central-1"], "https://backup.s3.eu-central-1.amazonaws.com", "/", "a/b/"),
            ("//backup?region=cn-north-1", ["AWS_REGION": "eu-central-1"], "https://backup.s3.cn-north-1.amazonaws.com.cn", "/", ""),
            ("//with.dot/db", ["AWS_DEFAULT_REGION": "eu-west-1"], "https://s3.eu-west-1.amazonaws.com", "/with.dot/", "db/"),
            ("https://minio.example:9000/backup/db", [:], "https://minio.example:9000", "/backup/", "db/"),
            ("http://127.0.0.1:80/backup", [:], "http://127.0.0.1", "/backup/", ""),
            ("https://host:443/backup", [:], "https://host", "/backup/", ""),
            ("//backup/db", ["AWS_ENDPOINT_URL_S3": "https://s3.example/"], "https://s3.example", "/backup/", "db/"),
            ("//backup/db?endpoint=https%3A%2F%2Fs3.example&addressing=virtual", [:], "https://backup.s3.example", "/", "db/"),
            ("//backup/db?addressing=path", [:], "https://s3.us-east-1.amazonaws.com", "/backup/", "db/"),
        ] as [(String, [String: String], String, String, String)])
    func origins(_ text: String, _ environment: [String: String], _ origin: String, _ root: String, _ prefix: String) throws {
        let settings = try settings(text, environment)
        #expect(settings.origin == origin && settings.root == root && settings.prefix == prefix)
    }

    @Test(
        "that are wrong are refused, and secrets in them are not repeated",
        arguments: [
            "", "//", "/bucket", "bucket/prefix", "//b", "///prefix", "//key:secret@bucket/x", "https://key:secret@host/bucket", "https://host",
            "https:///bucket", "//bucket/.hidden", "//bucket/a//b", "//bucket/sp ace", "//bucket?region", "//bucket?regio=x", "//bucket?addressing=dns",
            "//bucket?endpoint=ftp://x", "//bucket?endpoint=https://h/path", "https://h/bucket?endpoint=https://g", "//bucket?region=%zz",
            "//bucket?region=a/b", "//bucket?region=%0a", "//with_underscore?addressing=virtual", "//bucket?endpoint=https://u:secret@h",
        ])
    func refused(_ text: String) {
        let error = #expect(throws: RepoError.self) { try settings(text) }
        #expect(error?.code == .usage && error?.advice.isEmpty == false && error?.description.contains("secret") == false)
    }

    @Test func theNameForPeopleIsALocationAgain() throws {
        for text in ["//bucket/prefix", "https://host:9000/bucket/prefix", "//bucket"] {
            let location = try S3Location(parsing: text + "?region=eu-west-1")
            #expect(location.description == "s3:" + text)
            #expect(try S3Location(parsing: String(location.description.dropFirst(3))).bucket == "bucket")
        }
    }
}

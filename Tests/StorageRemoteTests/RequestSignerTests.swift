import Testing

@testable import StorageRemote

/// Requests and signatures that Amazon has published.
@Suite("Signature Version 4")
struct RequestSignerTests {
    struct Published: Sendable, CustomStringConvertible {
        let description: String
        var method = "GET"
        var path = "/"
        var query: [(String, String)] = []
        var headers: [(String, String)] = []
        var body = ""
        let signature: String
    }

    /// The four examples of "Authenticating Requests: Using the Authorization Header" in the Amazon S3 API reference.
    @Test(
        "of the examples in the S3 reference",
        arguments: [
            Published(
                description: "a range", path: "/test.txt", headers: [("Range", "bytes=0-9")],
                signature: "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
            Published(
                description: "a put", method: "PUT", path: "/test%24file.text",
                headers: [("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
                body: "Welcome to Amazon S3.", signature: "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
            Published(
                description: "a query without a value", query: [("lifecycle", "")],
                signature: "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            Published(
                description: "a listing", query: [("prefix", "J"), ("max-keys", "2")],
                signature: "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ])
    func s3(_ example: Published) throws {
        let credentials = S3Credentials(accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        let payload = Digests.hex(Digests.sha256(example.body))
        let added = RequestSigner(region: "us-east-1", service: "s3").headers(
            example.method, path: example.path, query: example.query,
            headers: example.headers.map { HTTPHeader($0.0, $0.1) } + [HTTPHeader("Host", "examplebucket.s3.amazonaws.com")],
            payload: payload, credentials: credentials, time: 1_369_353_600)
        let authorization = try #require(added.last)
        #expect(authorization.value.hasSuffix("Signature=\(example.signature)"))
        #expect(authorization.value.hasPrefix("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders="))
    }

    /// Of the Signature Version 4 test suite (aws-sig-v4-test-suite): names are those of its files.
    @Test(
        "of the published test suite",
        arguments: [
            Published(description: "get-vanilla", signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
            Published(
                description: "get-vanilla-query-order-key-case", query: [("Param2", "value2"), ("Param1", "value1")],
                signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
            Published(
                description: "get-header-value-trim", headers: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
                signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
            Published(
                description: "get-header-key-duplicate", headers: [("my-header1", "value2,value2,value1")],
                signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"),
            Published(
                description: "get-header-value-multiline", headers: [("my-header1", "value1,value2,value3")],
                signature: "ba17b383a53190154eb5fa66a1b836cc297cc0a3d70a5d00705980573d8ff790"),
            Published(
                description: "get-unreserved", path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"),
            Published(
                description: "get-utf8", path: "/" + URLText.encoded("\u{1234}"),
                signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"),
            Published(description: "post-vanilla", method: "POST", signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
            Published(
                description: "post-x-www-form-urlencoded", method: "POST", headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: "Param1=value1", signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
        ])
    func suite(_ example: Published) {
        let credentials = S3Credentials(accessKey: "AKIDEXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
        let authorization = RequestSigner(region: "us-east-1", service: "service").authorization(
            example.method, path: example.path, query: example.query,
            headers: example.headers.map { HTTPHeader($0.0, $0.1) }
                + [HTTPHeader("Host", "example.amazonaws.com"), HTTPHeader("X-Amz-Date", "20150830T123600Z")],
            payload: Digests.hex(Digests.sha256(example.body)), credentials: credentials, time: 1_440_938_160)
        #expect(authorization.value.hasSuffix("Signature=\(example.signature)"))
    }

    @Test func checksumsAreWrittenAsS3Does() {
        // RFC 3720, appendix B.4: 32 bytes of zeros have 8a9136aa.
        #expect([UInt8](repeating: 0, count: 32).withUnsafeBytes { Digests.crc32c($0) } == Digests.base64([0x8a, 0x91, 0x36, 0xaa]))
        // RFC 4648, section 10.
        for (text, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")] {
            #expect(Digests.base64(Array(text.utf8)) == encoded)
        }
    }

    @Test func timesOfServersAreUnderstood() {
        #expect(HTTPTime.parse(http: "Sun, 06 Nov 1994 08:49:37 GMT") == 784_111_777)
        #expect(HTTPTime.parse(iso: "2009-10-12T17:50:30.000Z") == 1_255_369_830)
        #expect(HTTPTime.parse(iso: "2009-10-12T17:50:30Z") == 1_255_369_830)
        #expect(HTTPTime.compact(784_111_777) == "19941106T084937Z")
        for bad in ["", "now", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 99 Nov 1994 08:49:37 GMT", "a b c d e GMT"] {
            #expect(HTTPTime.parse(http: bad) == nil)
        }
        for bad in ["", "2009-10-12", "2009-10-12T17:50:30", "2009-13-12T17:50:30Z", "2009-10-12T25:50:30Z", "--T::Z", "x-10-12T17:50:30Z"] {
            #expect(HTTPTime.parse(iso: bad) == nil)
        }
    }
}

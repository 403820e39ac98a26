import RepoBase
import Storage
import Testing

@testable import StorageRemote

@Suite("Signatures, locations and answers of Azure and Google")
struct CloudProtocolTests {
    /// The example of "Authorize with Shared Key" in the Azure Storage REST reference.
    @Test func theTextToSignIsThatOfAzuresReference() {
        let signer = SharedKeySigner(account: "myaccount", key: [1])
        let text = signer.textToSign(
            "GET", path: "/mycontainer", query: [("restype", "container"), ("comp", "metadata"), ("timeout", "20")],
            headers: [HTTPHeader("x-ms-version", "2015-02-21"), HTTPHeader("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")], length: 0)
        let lines = ["GET"] + [String](repeating: "", count: 11) + [
            "x-ms-date:Fri, 26 Jun 2015 23:39:12 GMT", "x-ms-version:2015-02-21", "/myaccount/mycontainer", "comp:metadata", "restype:container",
            "timeout:20",
        ]
        #expect(text == lines.joined(separator: "\n"))
    }

    /// RFC 7515, appendix A.2: key, text and signature.
    @Test func tokensAreSignedAsInTheRFC() {
        let key = """
            -----BEGIN PRIVATE KEY-----
            MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO
            jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL
            aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn
            juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5
            ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf
            toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg
            VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW
            PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G
            O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj
            kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6
            XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB
            4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K
            pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr
            0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE
            lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6
            kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP
            rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw
            kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp
            5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2
            9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/
            evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG
            yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj
            OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2
            tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3
            ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56
            03k2+ZQwVK0JKSHuLFkuQ3U=
            -----END PRIVATE KEY-----
            """
        let text = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        #expect(SignedToken.sign(Array(text.utf8), key).map(SignedToken.base64URL) == Self.signature)
        #expect(SignedToken.sign([1], "no key") == nil)
    }

    private static let signature =
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"

    /// RFC 4648, section 10.
    @Test(arguments: [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="), ("foobar", "Zm9vYmFy")])
    func base64(_ plain: String, _ text: String) {
        #expect(Digests.decoded(base64: text) == Array(plain.utf8) && Digests.base64(Array(plain.utf8)) == text)
        for wrong in [text + "=", text + "A", "Zg=", "Zh==", "Z===", "====", "Zm9v Zm9v"] { #expect(Digests.decoded(base64: wrong) == nil) }
    }

    @Test func timesAreWrittenAsTheyAreRead() {
        for (seconds, text) in [(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (1_369_353_600, "Fri, 24 May 2013 00:00:00 GMT")] as [(Int64, String)] {
            #expect(HTTPTime.http(seconds) == text && HTTPTime.parse(http: text) == seconds)
        }
    }

    private func dialect(_ text: String, _ environment: [String: String] = [:]) throws -> AzureDialect {
        try AzureDialect(AzureLocation(parsing: text), { environment[$0] }, CredentialCache([], for: "", advice: "", now: { 0 }))
    }

    @Test(
        "Locations in Azure say where requests go",
        arguments: [
            ("//backup/db", ["AZURE_STORAGE_ACCOUNT": "acc"], "https://acc.blob.core.windows.net", "/backup", "db/"),
            ("//backup?account=other", ["AZURE_STORAGE_ACCOUNT": "acc"], "https://other.blob.core.windows.net", "/backup", ""),
            ("https://acc.blob.core.windows.net/backup/a/b/", [:], "https://acc.blob.core.windows.net", "/backup", "a/b/"),
            ("http://127.0.0.1:10000/acc/backup/db", [:], "http://127.0.0.1:10000", "/acc/backup", "db/"),
            (
                "//backup", ["AZURE_STORAGE_CONNECTION_STRING": "AccountName=acc;EndpointSuffix=core.chinacloudapi.cn"],
                "https://acc.blob.core.chinacloudapi.cn", "/backup", ""
            ),
        ] as [(String, [String: String], String, String, String)])
    func azure(_ text: String, _ environment: [String: String], _ origin: String, _ root: String, _ prefix: String) throws {
        let dialect = try dialect(text, environment)
        #expect(dialect.origin == origin && dialect.root == root)
        let location = try AzureLocation(parsing: text)
        #expect(location.prefix == prefix)
        #expect(try AzureLocation(parsing: String(location.description.dropFirst(7))).container == location.container)
    }

    @Test(
        "Locations that are wrong are refused, and secrets in them are not repeated",
        arguments: [
            "", "//", "//backup", "//Backup?account=acc", "//key:secret@backup", "https://u:secret@h/backup", "//backup/.x?account=acc",
            "//backup?account=acc&storage-class=Archive", "//backup?account=acc&sas=secret", "//a?account=acc",
        ])
    func wrong(_ text: String) {
        let error = #expect(throws: RepoError.self) { try dialect(text) }
        #expect(error?.code == .usage && error?.advice.isEmpty == false && error?.description.contains("secret") == false)
    }

    @Test func locationsAtGoogle() throws {
        let location = try GoogleLocation(parsing: "//my.bucket_1/a/b?storage-class=NEARLINE&billing-project=p")
        #expect(location.bucket == "my.bucket_1" && location.prefix == "a/b/" && location.description == "gs://my.bucket_1/a/b")
        for text in ["", "//", "//a@b/c", "//bucket/..", "//bucket?region=x"] {
            #expect(throws: RepoError.self) { try GoogleLocation(parsing: text) }
        }
    }

    private func page(_ inner: String) throws -> ListPage { try ListPage(azure: Array("<EnumerationResults>\(inner)</EnumerationResults>".utf8)) }
    private let blob =
        "<Blob><Name>a/b</Name><Properties><Last-Modified>Sun, 06 Nov 1994 08:49:37 GMT</Last-Modified><Content-Length>12</Content-Length>"

    @Test func aListingOfAzureIsRead() throws {
        let page = try page(
            "<Blobs>\(blob)</Properties></Blob>\(blob)<ResourceType>directory</ResourceType></Properties></Blob>"
                + "<BlobPrefix><Name>a/z/</Name></BlobPrefix></Blobs><NextMarker>m!1</NextMarker>")
        #expect(page.objects == [.init(key: "a/b", size: 12, modified: 784_111_777)] && page.folders == ["a/z/"] && page.continuation == "m!1")
        #expect(try self.page("<Blobs /><NextMarker />").continuation == nil)
        for half in ["<Blobs/>", "<Blobs><Blob><Name>a</Name></Blob></Blobs><NextMarker/>"] {
            #expect(throws: RepoError.self) { try self.page(half) }
        }
        #expect(throws: RepoError.self) { try ListPage(azure: Array("<Error><Code>ServerBusy</Code><NextMarker/></Error>".utf8)) }
    }

    @Test(
        "Rules of a bucket's lifecycle at Google are told by what they would do",
        arguments: [
            ("<Action><Delete/></Action><Condition><Age>30</Age></Condition>", StoreFinding.Grade.unsafe),
            ("<Action><Delete/></Action><Condition><Age>30</Age><MatchesPrefix>backup</MatchesPrefix></Condition>", .unsafe),
            ("<Action><Delete/></Action><Condition><Age>30</Age><MatchesPrefix>logs/</MatchesPrefix></Condition>", nil),
            ("<Action><Delete/></Action><Condition><Age>30</Age><IsLive>false</IsLive></Condition>", nil),
            ("<Action><Delete/></Action><Condition><NumNewerVersions>3</NumNewerVersions></Condition>", nil),
            ("<Action><SetStorageClass>ARCHIVE</SetStorageClass></Action><Condition><Age>3</Age></Condition>", nil),
        ])
    func lifecycle(_ rule: String, _ grade: StoreFinding.Grade?) throws {
        #expect(GoogleLifecycleRule(try XMLElement(parsing: Array("<Rule>\(rule)</Rule>".utf8)))?.finding("rules", for: "backup/db/")?.grade == grade)
    }

    @Test func tokensAreAskedOfTrustedPlacesOnly() {
        for url in ["https://x", "http://127.0.0.1:80/a", "http://169.254.169.254/metadata", "http://localhost"] { #expect(TokenService.isTrusted(url)) }
        for url in ["http://example.com", "http://127.0.0.1.example.com/", "http://localhost@example.com", "ftp://x"] {
            #expect(!TokenService.isTrusted(url))
        }
    }
}

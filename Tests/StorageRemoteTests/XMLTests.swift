import RepoBase
import Testing

@testable import StorageRemote

@Suite("Answers in XML")
struct XMLTests {
    private func parsed(_ text: String) throws -> XMLElement { try XMLElement(parsing: Array(text.utf8)) }

    @Test func elementsTextAndReferencesAreRead() throws {
        let root = try parsed(
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- x --><a xmlns='u' b=\"&gt;\"> <s:b>1 &lt;&#50;&#x33;&amp;&quot;&apos;</s:b><c/><b><![CDATA[<x>]]></b><!-- y --></a >\n")
        #expect(root.name == "a" && root.all("b").map(\.text) == ["1 <23&\"'", "<x>"])
        #expect(root["c"] != nil && root["d"] == nil)
    }

    @Test(
        "what is not well-formed, or could hide something, is refused",
        arguments: [
            "", " ", "x", "<a>", "<a></b>", "<a/><b/>", "<a>&b;</a>", "<a>&#0;</a>", "<a>&#xd800;</a>", "<a>&#99999999999;</a>", "<a>&amp</a>", "<a",
            "<a b></a>", "<a b=c></a>", "<a b='<'></a>", "<a b='x'c='y'></a>", "<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>", "<a></a>x",
            "<a><!-- </a>", "<a><![CDATA[</a>", "<?xml", "</a>", "<>", "< a/>", "<a>&#-1;</a>", "<a>&#+5;</a>", "<a>&#;</a>", "<a:/>", "<:a/>", "<a:b:c/>", "<:/>",
            "<a b:='c'/>",
        ])
    func refused(_ text: String) {
        #expect(throws: XMLScanner.Malformed.self) { try parsed(text) }
    }

    @Test func depthIsBounded() {
        #expect(throws: XMLScanner.Malformed.self) { try parsed(String(repeating: "<a>", count: 33) + String(repeating: "</a>", count: 33)) }
        #expect(throws: Never.self) { try parsed(String(repeating: "<a>", count: 32) + String(repeating: "</a>", count: 32)) }
        #expect(throws: XMLScanner.Malformed.self) { try XMLElement(parsing: [60, 97, 62, 0xff, 60, 47, 97, 62]) }
    }

    private func page(_ inner: String) throws -> ListPage { try ListPage(s3: Array("<ListBucketResult>\(inner)</ListBucketResult>".utf8)) }

    @Test func aListingIsReadWithEncodedNames() throws {
        let page = try page(
            """
            <Name>b</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>to+ken%2F</NextContinuationToken>
            <Contents><Key>a/b%2Bc+d</Key><Size>12</Size><LastModified>2009-10-12T17:50:30.000Z</LastModified><Owner><ID>x</ID><Key>no</Key></Owner></Contents>
            <CommonPrefixes><Prefix>a%2Fz/</Prefix></CommonPrefixes>
            """)
        #expect(page.objects == [.init(key: "a/b+c d", size: 12, modified: 1_255_369_830)])
        #expect(page.folders == ["a/z/"] && page.continuation == "to+ken%2F")
    }

    @Test(
        "half a listing does not pass for a whole one",
        arguments: [
            "", "<IsTruncated>true</IsTruncated>", "<IsTruncated>true</IsTruncated><NextContinuationToken></NextContinuationToken>",
            "<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>",
            "<IsTruncated>false</IsTruncated><EncodingType>url</EncodingType><CommonPrefixes><Prefix>%</Prefix></CommonPrefixes>",
        ])
    func halves(_ inner: String) {
        #expect(throws: RepoError.self) { try page(inner) }
    }

    @Test func anErrorIsNoListing() {
        #expect(throws: RepoError.self) { try ListPage(s3: Array("<Error><Code>SlowDown</Code><IsTruncated>false</IsTruncated></Error>".utf8)) }
    }
}

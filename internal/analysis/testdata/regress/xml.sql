-- XML.
CREATE TABLE page (id int, title text, body xml);
INSERT INTO page VALUES (1, 'one', '<p lang="en"><b>bold</b></p>'), (2, 'two', NULL);
SELECT xmlelement(name page, xmlattributes(id, title AS heading), body) FROM page;
SELECT xmlelement(name "Odd Name", id, title, xmlelement(name inner, title)) FROM page;
SELECT xmlforest(id, title AS t, body) FROM page;
SELECT xmlconcat(body, xmlelement(name x, id)), xmlpi(name php, 'echo'), xmlcomment(title) FROM page;
SELECT xmlparse(content title), xmlparse(document '<a/>'), xmlroot(body, version '1.0', standalone yes) FROM page WHERE id = 1;
SELECT xmlserialize(content body AS text), xmlserialize(document body AS varchar) FROM page WHERE id = 1;
SELECT body IS DOCUMENT, body IS NOT DOCUMENT, title::xml IS DOCUMENT FROM page;
SELECT xpath('/p/b/text()', body), xpath_exists('/p', body), xmlexists('//b' PASSING BY VALUE body) FROM page;
SELECT xml_is_well_formed(title), xml_is_well_formed_document(title), xmlagg(body) OVER () FROM page;
SELECT xmlagg(body ORDER BY id DESC), xmlagg(xmlelement(name t, title)) FROM page;
SELECT t.* FROM page, XMLTABLE('/p' PASSING body COLUMNS n FOR ORDINALITY, lang text PATH '@lang' DEFAULT 'none', b text PATH 'b' NOT NULL) AS t WHERE id = 1;
SELECT t.lang, title FROM page LEFT JOIN LATERAL XMLTABLE(XMLNAMESPACES('http://x' AS x), '/p' PASSING body COLUMNS lang text PATH '@lang', d text PATH 'd' DEFAULT title) AS t ON true;
SELECT body::text, xml(title), text(body) FROM page;
--! unknown reads tables
SELECT table_to_xml('page', true, false, '');
SELECT query_to_xml('SELECT 1', true, false, '');
--! unknown SQL that is passed
SELECT query_to_xml('SELECT ' || 1, true, false, '');
--! unknown reads tables
SELECT schema_to_xml('public', true, false, '');
SET xmloption = document;
SET xmlbinary = hex;
--! error 2200M
SELECT '<a><b>'::xml;
RESET ALL;
DROP TABLE page;

"""Tables as they are found in public: which columns are recognised, and what a table without images is told.

Header and rows are modelled on exports of data sets, scrapers, content systems and shops in many countries.
"""

from typing import Any

import pytest

from image_processor.catalogue import read_catalogue

U = "https://cdn.shop.example/p/mug.jpg"
V = "https://img.shop.example/i/9f8e7d?w=640"  # an address that does not say that it is an image
PAGE = "https://shop.example/mug"

# The table ({U}, {V} and {PAGE} are addresses), then its images, name and id.
TABLES: dict[str, tuple[str, list[str], str | None, str | None]] = {
    "a data set of an online market in India": (
        "uniq_id,crawl_timestamp,product_url,product_name,product_category_tree,pid,retail_price,discounted_price,"
        'image,is_FK_Advantage_product,description,brand\n'
        'c2d7,2016-03-25 22:59,{PAGE},Mug,"[""Kitchen >> Mugs""]",SRT1,9,3,"[""{U}"", ""{V}""]",false,Blue,North\n',
        ["image"], "product_name", "uniq_id",
    ),
    "a data set of fashion": (
        "filename,link\n15970.jpg,{U}\n39386.jpg,{U}\n", ["link"], None, None,
    ),
    "a data set of sales": (
        "product_id,product_name,category,discounted_price,rating,user_id,review_id,img_link,product_link\n"
        "B07J,Cable,A|B,₹399,4.2,AG3,R3,{U},{PAGE}\n", ["img_link"], "product_name", "product_id",
    ),
    "a data set with a thumbnail and a picture": (
        "asin,title,imgUrl,productURL,stars,reviews,price,isBestSeller\nB014,Case,{U},{PAGE},4.5,0,139.99,False\n",
        ["imgUrl"], "title", "asin",
    ),
    "a data set of photos": (
        "product_id,product_title,product_photo,product_photo_link,price\n7,Mug,mug.jpg,{U},5\n",
        ["product_photo_link"], "product_title", "product_id",
    ),
    "a primary image and a list": (
        "sku,product_name,primary_image_url,image_urls,page_url\nM1,Mug,{U},\"['{U}', '{V}']\",{PAGE}\n",
        ["primary_image_url", "image_urls"], "product_name", "sku",
    ),
    "a scraper's numbered fields": (
        'web-scraper-order,web-scraper-start-url,name,price,image-src,link,link-href\n1-1,{PAGE},Mug,$5,{U},See,{PAGE}\n',
        ["image-src"], "name", None,
    ),
    "a scraper of nested objects": (
        "id,title,images/0/src,images/1/src,variants/0/sku,url\n1,Mug,{U},{V},M1,{PAGE}\n",
        ["images/0/src", "images/1/src"], "title", "id",
    ),
    "only an address": ("name,price,url\nMug,5,{U}\nCup,6,{U}\n", ["url"], "name", None),
    "only a link": ("Title;Link\nMug;{U}\n", ["Link"], "Title", None),
    "only a source": ("alt,src\nMug,{U}\nCup,{V}\n", ["src"], None, None),
    "a picture among pages": ("title,url,src\nMug,{PAGE},{U}\n", ["src"], "title", None),
    "a base of attachments": (
        'Name,Category,Attachments,Price\nMug,Kitchen,"a.jpg ({U}),b.jpg ({V})",$5\nCup,,,\n',
        ["Attachments"], "Name", None,
    ),
    "a flat file of a PIM": (
        "sku;family;categories;enabled;name-en_US;name-fr_FR;main_image;image_2;image_3\n"
        "1;mugs;kitchen;1;Mug;Tasse;a/b/mug.jpg;a/b/2.jpg;\n",
        ["main_image", "image_2", "image_3"], "name-en_US", "sku",
    ),
    "a PIM's image of a locale": (
        "sku,name,image-en_US,description-en_US\n1,Mug,{U},x\n", ["image-en_US"], "name", "sku",
    ),
    "objects of a content system": (
        "oo_id,fullpath,sku,name#de,name#en,images\n5,/p/mug,M1,Becher,Mug,/p/mug.jpg\n",
        ["images"], "name#en", "sku",
    ),
    "a headless shop": (
        "name,slug,assets,sku,price\nMug,mug,mug.jpg|cup.jpg,M1,5\n", ["assets"], "name", "sku",
    ),
    "a shop in PHP": (
        "sku,type,name,url_key,images,inventories\nM1,simple,Mug,mug,\"product/1/a.webp,product/1/b.webp\",default=5\n",
        ["images"], "name", "sku",
    ),
    "digital assets": (
        "Product ID,Product Name,Main Image,Digital Assets,salsify:digital_asset_url\nM1,Mug,{U},{V},\n",
        ["Main Image"], "Product Name", "Product ID",
    ),
    "languages with a point": (
        "key,sku,name.de,name.en,slug.en,images,image.label\nk1,M1,Becher,Mug,mug,{U};{V},\n",
        ["images"], "name.en", "sku",
    ),
    "only another language": ("sku,name.de,bilder\nM1,Becher,{U}\n", ["bilder"], "name.de", "sku"),
    "an empty label": (
        "custom_label,parent_sku,sku,title,image_link\n,,M1,Mug,{U}\n,,M2,Cup,{U}\n",
        ["image_link"], "title", "sku",
    ),
    "a style sheet of a marketplace": (
        "styleId,SKUCode,vendorSkuCode,vendorArticleName,brand,Front Image,Side Image,Back Image,Detail Angle\n"
        ",,M1,Mug,Northlight,{U},{U},,\n",
        ["Front Image", "Side Image", "Back Image", "Detail Angle"],
        "vendorArticleName", "vendorSkuCode",
    ),
    "titles above": (
        "Catalogue of autumn,,\r\nprinted 2024-11-25,,\r\nArt. No.,Article Name,Picture\r\nM1,Mug,{U}\r\n",
        ["Picture"],
        "Article Name", "Art. No.",
    ),
    "an empty line above": (
        "\r\n;;\r\nSKU;Name;Foto\r\nM1;Becher;{U}\r\n", ["Foto"], "Name", "SKU",
    ),
    "a sheet with a sum": (
        "No,Item,Qty,Photo\n1,Mug,3,{U}\n2,Cup,4,{U}\n,Total,7,\n", ["Photo"], "Item", "No",
    ),
    "many cells without an image": (
        'sku,name,image_url\n1,A,n/a\n2,B,NaN\n3,C,None\n4,D,[]\n5,E,-\n6,F,{U}\n',
        ["image_url"], "name", "sku",
    ),
    "the same name thrice": ("SKU,Name,Image,Image,Image\nM1,Mug,{U},,{V}\n", ["Image"] * 3, "Name", "SKU"),
    "a column called #": ("#,Item,Photo\n1,Mug,{U}\n2,Cup,{U}\n", ["Photo"], "Item", None),
    "columns without a name": (",Name,,Image,\n0,Mug,x,{U},\n1,Cup,y,{U},\n", ["Image"], "Name", None),
    "images and manuals": (
        "sku,name,image,attachments\n1,Mug,{U},https://shop.example/manual.pdf\n", ["image"], "name", "sku",
    ),
    "German": (
        "Artikelnummer;Artikelbezeichnung;Kurzbeschreibung;Preis;Bild1;Bild2\nA1;Becher;blau;5,00;{U};{U}\n",
        ["Bild1", "Bild2"], "Artikelbezeichnung", "Artikelnummer",
    ),
    "German, a shop's own": (
        "ordernumber;mainnumber;name;supplier;imageUrl;main\nSW1;SW1;Becher;Nord;{U}|{U};1|2\n",
        ["imageUrl"], "name",
        "ordernumber",
    ),
    "French": (
        "Référence;Désignation;Prix TTC;Photo principale;Photos supplémentaires\nR1;Tasse;5,00;{U};{U}\n",
        ["Photo principale", "Photos supplémentaires"], "Désignation", "Référence",
    ),
    "Spanish": (
        "Código;Nombre del producto;Precio;URL de la imagen\nC1;Taza;5,00;{U}\n",
        ["URL de la imagen"],
        "Nombre del producto", "Código",
    ),
    "Italian": (
        "Codice;Descrizione;Titolo;Foto 1;Foto 2\nC1;x;Tazza;{U};{U}\n", ["Foto 1", "Foto 2"], "Titolo", "Codice",
    ),
    "Portuguese": (
        "Código (SKU);Nome;Preço;URL Imagens Externas\nC1;Caneca;5,00;{U}|{U}\n",
        ["URL Imagens Externas"], "Nome",
        "Código (SKU)",
    ),
    "Polish": (
        "Kod produktu;Nazwa produktu;Cena;Zdjęcie główne;Zdjęcia dodatkowe\nK1;Kubek;5,00;{U};{U}\n",
        ["Zdjęcie główne", "Zdjęcia dodatkowe"], "Nazwa produktu", "Kod produktu",
    ),
    "Dutch": (
        "Artikelcode;Productnaam;Afbeelding 1\nA1;Mok;{U}\n", ["Afbeelding 1"], "Productnaam", "Artikelcode",
    ),
    "Russian": (
        "Код_товара;Название_позиции;Цена;Ссылка_изображения\n1;Кружка;5;{U}, {U}\n",
        ["Ссылка_изображения"],
        "Название_позиции", "Код_товара",
    ),
    "Ukrainian": ("Артикул;Назва;Зображення\n1;Кухоль;{U}\n", ["Зображення"], "Назва", "Артикул"),
    "Hindi": (
        "क्रमांक,उत्पाद का नाम,मूल्य,चित्र\n1,मग,5,{U}\n", ["चित्र"], "उत्पाद का नाम", "क्रमांक",
    ),
    "Chinese": ("商品编码,商品名称,价格,商品主图,商品图片\n1,杯子,5,{U},{U}\n", ["商品主图", "商品图片"],
        "商品名称", "商品编码"),
    "Japanese": ("商品管理番号,商品名,販売価格,商品画像URL\n1,マグ,5,{U}\n", ["商品画像URL"], "商品名", "商品管理番号"),
    "Japanese, numbered": (
        "商品コード,商品名,商品画像パス1,商品画像パス2\n1,マグ,/m/1.jpg,/m/2.jpg\n",
        ["商品画像パス1", "商品画像パス2"],
        "商品名", "商品コード",
    ),
    "Turkish, by its values": (
        "Stok Kodu;Ürün Adı;Resim1;Resim2\n1;Kupa;{U};{U}\n", ["Resim1", "Resim2"], "Ürün Adı", "Stok Kodu",
    ),
}  # fmt: skip

# What such a table is told; all of them have a header.
WITHOUT = {
    "orders": "Order ID,Order Date,Customer,Total\n1,2024-11-25,A. Smith,12.50\n",
    "prices": "SKU;Name;Price\nM1;Mug;12,50\n",
    "stock": "Item number\tWarehouse\tOn hand\n1\tA\t5\n",
    "pages": "sku,name,url\n1,Mug,https://shop.example/mug\n2,Cup,https://shop.example/cup\n",
    "the size of images": "sku,name,image_width,image_height,image_alt\n1,Mug,600,400,A mug\n",
    "words in a column of images": "sku,name,image\n1,Mug,yes\n2,Cup,no\n",
    "reviews": "review_id,product_id,stars,text\n1,B07,5,See https://shop.example/mug for more\n",
    "manuals": "sku,name,attachments\n1,Mug,https://shop.example/files/manual.pdf?v=2\n",
    "films": "sku,name,media_url\n1,Mug,https://shop.example/films/mug.mp4\n",
    "a header in Greek": "Κωδικός;Περιγραφή;Τιμή\n1;Κούπα;5\n",
}


def read(text: str) -> Any:
    return read_catalogue(text.replace("{U}", U).replace("{V}", V).replace("{PAGE}", PAGE).encode(), filename="x.csv")


def names(catalogue: Any, role: str) -> list[str]:
    return [column.name for column in catalogue.understood.columns if column.role == role]


@pytest.mark.parametrize("kind", TABLES)
def test_the_columns_of_a_public_table_are_recognised(kind: str) -> None:
    text, images, name, id_ = TABLES[kind]

    catalogue = read(text)

    assert catalogue.understood.profile == "general"
    found = {role: names(catalogue, role) for role in ("images", "name", "id")}
    assert found == {"images": images, "name": [name] if name else [], "id": [id_] if id_ else []}
    assert any(row.image_urls for row in catalogue.rows())


@pytest.mark.parametrize("kind", WITHOUT)
def test_a_table_without_images_is_told_so(kind: str) -> None:
    catalogue = read(WITHOUT[kind])

    assert names(catalogue, "images") == []
    assert catalogue.understood.header_line == 1
    assert not catalogue.is_valid
    (problem,) = catalogue.problems
    assert problem.code == "no_image_column"
    assert "header" not in problem.detail
    assert "look like images" not in problem.detail
    for column in catalogue.understood.columns:
        assert f"“{column.name}”" in problem.hint


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("sku,name,visual\n1,Mug,{U}\n", "visual"),
        ("sku,page,shot a,shot b\n1,{PAGE},{V},{U}\n", "shot b"),
        ("sku,link,source\n1,{U},{U}\n", "link"),
    ],
)
def test_the_column_that_looks_like_images_is_proposed(text: str, suggested: str) -> None:
    catalogue = read(text)

    (problem,) = catalogue.problems
    assert problem.code == "no_image_column"
    assert suggested in problem.detail
    assert catalogue.understood.suggested_images_column == suggested


@pytest.mark.parametrize("nothing", ["-", "N/A", "null", "[]", "nan"])
def test_a_column_without_any_value_is_not_proposed(nothing: str) -> None:
    (problem,) = read(f"name,stars,link\nMug,{nothing},{nothing}\nCup,{nothing},{nothing}\n").problems

    assert problem.detail == "No column holds URLs or paths of images."


def test_links_to_pages_are_not_said_to_be_images() -> None:
    (problem,) = read("name,url\nMug,https://shop.example/mug/\nCup,https://shop.example/cup/\n").problems

    assert problem.detail.startswith("No column of images was found. “url” holds URLs, but it is not clear")
    assert "If they do, choose “url”" in problem.hint


def test_a_column_of_signs_is_not_said_to_hold_images() -> None:
    assert read("name,image,in stock\nMug,{U},+\nCup,{V},-\n").warnings == []

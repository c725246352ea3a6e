"""The exports of systems behind a shop, of tables in the web, of spreadsheets and of scrapers."""

from platform_files import PlatformFile, export, image, numbered

CDN = "https://cdn.shop.example/assets"
HTML = '<p>Holds 0.4 l – "dishwasher proof".</p>\n<ul><li>blue, glazed</li></ul>'
BASE = "https://media.shop.example/files/"
BOM = "\ufeff"

AKENEO = export(
    "sku;categories;enabled;family;parent;groups;auto_exposure;brand;color;name-en_US;name-de_DE;name-fr_FR;"
    "description-en_US-ecommerce;description-de_DE-ecommerce;price-EUR;price-USD;weight;weight-unit;ean;image;picture;"
    "meta_title-en_US;meta_description-en_US;material;release_date-ecommerce;PACK-groups;PACK-products;UPSELL-products",
    {"sku": "10661721", "categories": "kitchen,mugs", "enabled": "1", "family": "mugs", "name-en_US": "Blue mug",
     "name-de_DE": "Blauer Becher", "description-en_US-ecommerce": HTML, "price-EUR": "12.50", "weight": "0.4000",
     "image": image("files/10661721/image/mug front.jpg"), "picture": image("files/10661721/picture/side.png")},
    {"sku": "10661722", "enabled": "0", "parent": "10661721", "name-en_US": "Red mug",
     "image": image("files/10661722/image/red.jpg")},
    sep=";",
)  # fmt: skip
PIMCORE = export(
    "id;fullpath;key;published;className;sku;name_de;name_en;description_en;brand;price;mainImage;gallery;createdAt",
    {"id": "271", "fullpath": "/Products/mug", "key": "mug", "published": "1", "sku": "PC-1", "name_de": "Becher",
     "name_en": "Mug", "mainImage": image("/Product Images/mug/front.jpg"),
     "gallery": image("/Product Images/mug/side.jpg", "/Product Images/mug/top.jpg", by="|")},
    {"id": "272", "fullpath": "/Products/lamp", "key": "lamp", "sku": "PC-2", "name_en": "Lamp"},
    sep=";", quoted="all",
)  # fmt: skip
BAGISTO = export(
    "channel;locale;attribute_family_code;parent_sku;sku;type;name;description;short_description;url_key;price;"
    "special_price;special_price_from;special_price_to;status;new;featured;visible_individually;guest_checkout;weight;"
    "tax_category_name;manage_stock;inventories;categories;images;related_skus;cross_sell_skus;up_sell_skus;color;size",
    {"channel": "default", "locale": "en", "sku": "SP-001", "type": "simple", "name": "Mug", "description": HTML,
     "inventories": "default=10,secondary=2",
     "images": image("product/SP-001/a.webp", "product/SP-001/b.webp", by=",")},
    {"channel": "default", "locale": "fr", "sku": "SP-001", "type": "simple", "name": "Tasse"},
)  # fmt: skip
VENDURE = export(
    "name;slug;description;assets;facets;optionGroups;optionValues;sku;price;taxCategory;stockOnHand;trackInventory;"
    "variantAssets;variantFacets",
    {"name": "Mug", "slug": "mug", "description": HTML, "assets": image("mug-front.jpg", "mug-side.jpg", by="|"),
     "facets": "category:kitchen|category:mugs", "optionGroups": "size|colour", "optionValues": "S|blue", "sku": "V1",
     "price": "12.50", "variantAssets": image("v1.jpg")},
    {"optionValues": "M|blue", "sku": "V2", "price": "14.50", "variantAssets": image("v2.jpg", "v3.jpg", by="|")},
)  # fmt: skip
MEDUSA = BOM + export(
    "Product Id;Product Handle;Product Title;Product Subtitle;Product Description;Product Status;Product Thumbnail;"
    "Product Weight;Product Length;Product Width;Product Height;Product HS Code;Product Origin Country;"
    "Product MID Code;Product Material;Shipping Profile Id;Product Sales Channel 1;Product Collection Id;"
    "Product Type Id;Product Tag 1;Product Discountable;Product External Id;Variant Id;Variant Title;Variant SKU;"
    "Variant Barcode;Variant Allow Backorder;Variant Manage Inventory;Variant Weight;Variant Price EUR;"
    "Variant Price USD;Variant Option 1 Name;Variant Option 1 Value;Product Image 1 Url;Product Image 2 Url",
    {"Product Id": "prod_01J", "Product Handle": "mug", "Product Title": "Mug", "Product Description": HTML,
     "Product Thumbnail": image(f"{CDN}/t.png"), "Variant SKU": "M-S", "Variant Price EUR": "12.5",
     "Product Image 1 Url": image(f"{CDN}/1.png"), "Product Image 2 Url": image(f"{CDN}/2.png")},
    {"Product Id": "prod_01J", "Product Handle": "mug", "Variant SKU": "M-M"},
    sep=";",
)  # fmt: skip
# Its mock data are padded with blanks, on both sides of the quotes.
VENDURE_PADDED = (
    "name   , slug   , description                 , assets         , sku , price , variantAssets\n"
    f'Mug    , mug    , "Blue, or green. 12"" high"  , {image("mug a.jpg")}      , M1  , 5.00  , \n'
    "       ,        ,                             ,                , M2  , 6.00  , {small} \n"
    f'Lamp   , lamp   , "A ""lamp"", tall"           , "{image("l.jpg", "m.jpg", by="|")}" , L1  , 7.00  ,\n'
).replace("{small}", image("small.jpg"))
COMMERCETOOLS = export(
    "key;productType;variantId;sku;prices;tax;categories;images;name.de;name.en;description.de;description.en;slug.en;"
    "metaTitle.en;searchKeywords.en;creationDate;articleNumberManufacturer;matrixId;designer;color;colorFreeDefinition",
    {"productType": "mug", "variantId": "1", "sku": "CT-1", "prices": "DE-EUR 1250;US-USD 1350",
     "images": image(f"{CDN}/ct-1.jpg", f"{CDN}/ct-1b.jpg", by=";"), "name.de": "Becher", "name.en": "Mug"},
    {"variantId": "2", "sku": "CT-2", "images": image(f"{CDN}/ct-2.jpg")},
)  # fmt: skip
SALSIFY = export(
    "SKU;Product Name;Brand;Parent ID;UPC;Status;Long Description;Main Image;Additional Images;"
    f"{numbered('Feature Bullet #', 5)};salsify:created_at;salsify:updated_at;salsify:version",
    {"SKU": "00817", "Product Name": "Mug", "UPC": "00012345678905", "Long Description": HTML,
     "Main Image": image("https://images.salsify.example/image/upload/s--aB_c--/w_800,h_800/mug.jpg"),
     "Additional Images": image("https://images.salsify.example/image/upload/s--1--/a.jpg", f"{CDN}/b.tif", by=";")},
    {"SKU": "00818", "Product Name": "Lamp", "Parent ID": "00817"},
)  # fmt: skip

_AIRTABLE = "https://v5.airtableusercontent.example/v3/u/48/48/1732500000000"
# The URLs alone are what comes back: a name stands for the old picture.
AIRTABLE = BOM + export(
    "Name;SKU;Status;Price;Photos;Notes;Created",
    ["Mug", "A-1", "Live", "€12.50", ",".join((image(f"front (1), blue.jpg ({_AIRTABLE}/aa_b-c/1)"),
                                               image(f"side.jpg ({_AIRTABLE}/dd/2)"))), 'New, "hot"', "25/11/2024"],
    ["Lamp", "A-2", "Draft", "€40.00", image(f"lamp.png ({_AIRTABLE}/ee/3)"), "", ""],
    ["Jar", "A-3", "", "", "", "line one\nline two", ""],
    end=False,
)  # fmt: skip

SCRAPER_PYTHON = export(
    ";product_name;brand;price;rating;url;image_urls;scraped_at",
    ["0", "Mug", "Northlight", "12.5", "4.5", "https://shop.example/p/1",
     "['" + image(f"{CDN}/1.jpg", f"{CDN}/2.jpg?w=1,2", by="', '") + "']", "2024-11-25 09:12:00"],
    ["1", 'Lamp "Arc"', "Northlight", "40.0", "", "https://shop.example/p/2", f"['{image(f'{CDN}/3.jpg')}']", ""],
    ["2", "Jar", "", "", "", "https://shop.example/p/3", "[]", ""],
)  # fmt: skip
SCRAPER_JSON = export(
    "asin;title;final_price;currency;images;description;availability;url",
    ["B01", "Mug", "12.5", "EUR", '["' + image(f"{CDN}/1._SL1500_.jpg", f"{CDN}/2.jpg", by='","') + '"]', HTML, "yes",
     "https://market.example/dp/B01"],
    ["B02", "Lamp", "null", "EUR", f'["{image((CDN + "/3.jpg").replace("/", chr(92) + "/"))}"]', "", "no",
     "https://market.example/dp/B02"],
    eol="\r\n",
)  # fmt: skip
SCRAPER_NO_SCHEME = export(
    "Product Name\tPrice\tImage".replace("\t", ";"),
    ["Mug", "$12.50", image("//cdn.shop.example/a.jpg")],
    ["Lamp", "$40", image("//cdn.shop.example/b.jpg?v=2", "//cdn.shop.example/c.jpg")],
    sep="\t",
)  # fmt: skip
SHEETS = export(
    "Item No.;Item;Photo 1;Photo 2;Photo 3;Remarks",
    ["1", "Mug", image("https://drive.example/uc?export=view&id=1aB"), image(f"{CDN}/2.jpg"), "", "a; b"],
    ["2", "Lamp", "", image(f"{CDN}/3.jpg"), "", ""],
    ["", "", "", "", "", "Total: 2"],
    above="Catalogue autumn 2024,,,,,\r\n,,,,,\r\n", eol="\r\n", end=False,
)  # fmt: skip
EXCEL_GERMAN = export(
    "Art.-Nr.;Bezeichnung;Preis;Bild-URL;Bemerkung",
    ["4711", "Becher „Flut“", "12,50 €", image(f"{CDN}/becher.jpg"), "größer"],
    ["4712", "Lampe", "40,00 €", image(f"{CDN}/lampe.jpg", f"{CDN}/lampe2.jpg", by=" | "), ""],
    sep=";", eol="\r\n",
)  # fmt: skip
EXCEL_UNICODE = BOM + EXCEL_GERMAN.replace(";", "\t")
EXCEL_SEP = export(
    "No.;Name;Image;;",
    ["1", "Mug", image(f"{CDN}/1.jpg"), "", ""],
    ["2", "Lamp"],
    ["", "", "", "", ""],
    ["3", 'Jar 12"', image(f"{CDN}/3.jpg", f"{CDN}/4.jpg"), "x", "", ""],
    sep=";", eol="\r\n", above="sep=;\r\n",
)  # fmt: skip
EXCEL_WRAPPED = export(
    "Art.\nNo.;Article Name;Price\n(EUR);Image\nURL",
    ["1", "Mug", "12.50", image(f"{CDN}/1.jpg")],
    ["2", "Lamp\n(tall)", "40", image(f"{CDN}/2.jpg", f"{CDN}/3.jpg", by="\n")],
    eol="\r\n", above="Price list,,,\r\n",
)  # fmt: skip
URL_LIST = f"{image(f'{CDN}/1.jpg')}\n\n{image(f'{CDN}/w_1,h_2/2.jpg')}\n{image('http://a.example/x?y=1;2')}\n"

_PATHS = {"base": BASE, "asks": True}
SYSTEMS = (
    PlatformFile("akeneo", "general", AKENEO, ("image", "picture"), "name-en_US", "sku", **_PATHS),
    PlatformFile("pimcore", "general", PIMCORE, ("mainImage", "gallery"), "name_en", "sku", **_PATHS),
    PlatformFile("bagisto", "general", BAGISTO, ("images",), "name", "sku", **_PATHS),
    PlatformFile("vendure", "general", VENDURE, ("assets", "variantAssets"), "name", "sku", **_PATHS),
    PlatformFile(
        "vendure, padded", "general", VENDURE_PADDED, ("assets", "variantAssets"), "name", "sku",
        rows=(("M1", "Mug"), ("M2", ""), ("L1", "Lamp")), **_PATHS,
    ),
    PlatformFile(
        "medusa", "medusa", MEDUSA, ("Product Thumbnail", "Product Image 1 Url", "Product Image 2 Url"),
        "Product Title", "Product Handle", rows=(("mug", "Mug"), ("mug", "Mug")),
    ),
    PlatformFile("commercetools", "general", COMMERCETOOLS, ("images",), "name.en", "sku"),
    PlatformFile("salsify", "general", SALSIFY, ("Main Image", "Additional Images"), "Product Name", "SKU"),
    PlatformFile("airtable", "general", AIRTABLE, ("Photos",), "Name", "SKU"),
    PlatformFile("a scraper, Python lists", "general", SCRAPER_PYTHON, ("image_urls",), "product_name"),
    PlatformFile("a scraper, JSON lists", "general", SCRAPER_JSON, ("images",), "title", "asin"),
    PlatformFile("a scraper, no scheme", "general", SCRAPER_NO_SCHEME, ("Image",), "Product Name"),
    PlatformFile(
        "a sheet", "general", SHEETS, ("Photo 1", "Photo 2", "Photo 3"), "Item", "Item No.", header_line=3,
        rows=(("1", "Mug"), ("2", "Lamp"), ("3", "")),
    ),
    PlatformFile("Excel, German", "general", EXCEL_GERMAN, ("Bild-URL",), "Bezeichnung", "Art.-Nr.", encoding="cp1252"),
    PlatformFile("Excel, Unicode text", "general", EXCEL_UNICODE, ("Bild-URL",), "Bezeichnung", "Art.-Nr.",
                 encoding="utf-16-le"),
    PlatformFile("Excel, sep line", "general", EXCEL_SEP, ("Image",), "Name", "No.", header_line=2),
    PlatformFile(
        "Excel, wrapped header", "general", EXCEL_WRAPPED, ("Image\nURL",), "Article Name", "Art.\nNo.", header_line=2
    ),
    PlatformFile("a list", "list", URL_LIST, ("",), header_line=0),
)  # fmt: skip

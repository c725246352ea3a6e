"""The feeds and templates of marketplaces: Google, Meta, Pinterest, eBay, Amazon, Myntra."""

from platform_files import PlatformFile, columns, export, image, numbered

CDN = "https://cdn.shop.example/images"
HTML = '<p>Holds 0.4 l – "dishwasher proof".</p>\n<ul><li>blue, glazed</li></ul>'
BOM = "\ufeff"

_GOOGLE = (
    "id;title;description;link;mobile_link;image_link;additional_image_link;availability;availability_date;"
    "expiration_date;price;sale_price;sale_price_effective_date;unit_pricing_measure;google_product_category;"
    "product_type;brand;gtin;mpn;identifier_exists;condition;adult;multipack;is_bundle;age_group;color;gender;material;"
    "pattern;size;size_type;item_group_id;shipping;shipping_label;shipping_weight;tax;custom_label_0;custom_label_1;"
    "ads_redirect;promotion_id;excluded_destination"
)
GOOGLE_ROWS = [
    {"id": "SKU-1", "title": "Mug, blue", "description": "Holds 0.4 l, 4\" high", "link": "https://shop.example/mug",
     "mobile_link": "https://m.shop.example/mug.html", "image_link": image(f"{CDN}/mug.jpg"),
     "additional_image_link": image(f"{CDN}/mug-2.jpg", f"{CDN}/mug-3.jpg?a=1,2", f"{CDN}/mug-4", by=","),
     "availability": "in_stock", "price": "12.50 EUR", "gtin": "04012345678901", "item_group_id": "G-1"},
    {"id": "SKU-2", "title": "Mug, red", "link": "https://shop.example/mug?c=red", "price": "12.50 EUR",
     "image_link": image("http://cdn.shop.example/images/red mug.png"), "availability": "out_of_stock"},
]  # fmt: skip
_SPACED = (
    "id;title;description;link;image link;additional image link;availability;price;sale price;brand;gtin;mpn;"
    "condition;item group id;google product category;product type;shipping weight;custom label 0;identifier exists"
)

# Meta explains each column in a line above the header.
_META = (
    "id;title;description;availability;condition;price;link;image_link;brand;google_product_category;"
    "fb_product_category;quantity_to_sell_on_facebook;sale_price;sale_price_effective_date;item_group_id;gender;color;"
    "size;age_group;material;pattern;shipping;shipping_weight;gtin;additional_image_link;video[0].url;"
    "video[0].tag[0];product_tags[0];product_tags[1];style[0]"
)
_META_REMARKS = ",".join(
    [
        '"# Required | A unique content ID for the item. Use the item\'s SKU if you can, max 100 characters."',
        '"# Required | A specific, relevant title: ""Mug, blue"""',
        *["# Required"] * 7,
        *["# Optional"] * 21,
    ]
)
META_ROW = {
    "id": "0", "title": "Mug, blue", "description": HTML, "availability": "in stock", "condition": "new",
    "price": "12.50 EUR", "link": "https://shop.example/mug", "brand": "Northlight", "gtin": "4012345678901",
}  # fmt: skip
_META_INDEXED = (
    "id;title;description;availability;condition;price;link;image[0].url;image[0].tag[0];image[1].url;image[1].tag[0];"
    "brand;google_product_category;sale_price;item_group_id;gtin;color;size;internal_label[0];status;inventory"
)

_EBAY_INFO = "".join(
    f"{line}\r\n"
    for line in (
        "#INFO,Version=0.0.2,Template= eBay-draft-listings-template_US,,,,,,,,",
        "#INFO Action and Category ID are required fields. 1) Set Action to Draft 2) Please find the category ID for "
        "your listings here: https://pages.example/categorychanges.html,,,,,,,,,,",
        '"#INFO After you\'ve successfully uploaded your draft, complete it here: https://www.example/lst/drafts"'
        ",,,,,,,,,,",
        "#INFO,,,,,,,,,,",
    )
)
_EBAY_DRAFT = (
    "Action(SiteID=US|Country=US|Currency=USD|Version=1193|CC=UTF-8);Custom label (SKU);Category ID;Title;UPC;Price;"
    "Quantity;Item photo URL;Condition ID;Description;Format"
)
_EBAY_EXCHANGE = (
    "*Action(SiteID=Germany|Country=DE|Currency=EUR|Version=1193|CC=UTF-8);CustomLabel;*Category;StoreCategory;*Title;"
    "Subtitle;Relationship;RelationshipDetails;*ConditionID;*C:Brand;*C:Type;C:Colour;PicURL;GalleryType;VideoID;"
    "*Description;*Format;*Duration;*StartPrice;BuyItNowPrice;BestOfferEnabled;*Quantity;ImmediatePayRequired;"
    "*Location;ShippingType;ShippingService-1:Option;ShippingService-1:Cost;*DispatchTimeMax;*ReturnsAcceptedOption;"
    "ShippingProfileName;ReturnProfileName;PaymentProfileName;Product:EAN"
)
_EBAY_ACTIVE = (
    "Item number;Title;Variation details;Custom label (SKU);Available quantity;Format;Currency;Start price;"
    "Current price;Sold quantity;Watchers;Start date;End date;eBay category 1 name;eBay category 1 number;Condition;"
    "Listing site;P:UPC;P:EAN;P:MPN;Item photo URL"
)

# Amazon's template: what it is, the header for people, the header for programs.
_AMAZON_KEYS = (
    "feed_product_type;item_sku;brand_name;item_name;external_product_id;external_product_id_type;manufacturer;"
    f"part_number;standard_price;quantity;main_image_url;{numbered('other_image_url#', 8)};swatch_image_url;"
    "parent_child;parent_sku;relationship_type;variation_theme;product_description;update_delete;"
    f"{numbered('bullet_point#', 5)};"
    "generic_keywords;color_name;size_name;item_weight;item_weight_unit_of_measure;fulfillment_center_id;condition_type"
)
_AMAZON_NAMES = (
    "Product Type;Seller SKU;Brand Name;Product Name;Product ID;Product ID Type;Manufacturer;Manufacturer Part Number;"
    f"Standard Price;Quantity;Main Image URL;{numbered('Other Image URL#', 8)};Swatch Image URL;Parentage;Parent SKU;"
    f"Relationship Type;Variation Theme;Product Description;Update Delete;{numbered('Key Product Features#', 5)};"
    "Search Terms;Color;Size;Item Weight;Item Weight Unit Of Measure;Fulfillment Center ID;Condition"
)
_AMAZON_FIRST = (
    "TemplateType=fptcustom\tVersion=2024.1101\tTemplateSignature=SE9NRQ==\t"
    "The top 3 rows are for use only. Do not modify or delete the top 3 rows.\r\n"
)
AMAZON_IMAGES = ("main_image_url", *columns(numbered("other_image_url#", 8)), "swatch_image_url")


def _amazon(above: str, header: str, keys: str) -> str:
    rows = [
        {"item_sku": "MUG", "item_name": "Mug, blue", "main_image_url": image(f"{CDN}/mug.jpg"),
         "other_image_url1": image(f"{CDN}/mug.1.jpg"), "other_image_url8": image(f"{CDN}/mug.8.jpg"),
         "parent_child": "parent", "product_description": 'Holds <b>0.4 l</b> – 4" high'},
        {"item_sku": "MUG-S", "item_name": "Mug, blue, S", "main_image_url": image(f"{CDN}/s.jpg"),
         "swatch_image_url": image(f"{CDN}/s.sw.png"), "parent_sku": "MUG", "standard_price": "12.5"},
        {"item_sku": "MUG-M", "parent_sku": "MUG", "update_delete": "PartialUpdate", "quantity": "4"},
    ]  # fmt: skip
    names = columns(keys)
    cells = [[row.get(name, "") for name in names] for row in rows]
    return above + export(header, *cells, sep="\t", eol="\r\n")


# Row 1 of the sheet explains, row 3 is the header: the other rows are for people.
_MYNTRA = (
    "styleId;styleGroupId;vendorSkuCode;vendorArticleNumber;vendorArticleName;brand;Manufacturer Name and Address;"
    "articleType;Brand Size;Standard Size;is Standard Size present on Label;Brand Colour (Remarks);GTIN;HSN;SKUCode;"
    "MRP;AgeGroup;Prominent Colour;FashionType;Usage;Year;season;Product Details;styleNote;materialCareDescription;"
    "productDisplayName;tags;Material;Occasion;Front Image;Side Image;Back Image;Detail Angle;Look Shot Image;"
    "Additional Image 1;Additional Image 2"
)
MYNTRA_IMAGES = (
    "Front Image", "Side Image", "Back Image", "Detail Angle", "Look Shot Image", "Additional Image 1",
    "Additional Image 2",
)  # fmt: skip
MYNTRA = export(
    _MYNTRA,
    {"styleGroupId": "1", "vendorSkuCode": "MUG-BLUE", "vendorArticleName": "Mug, blue", "brand": "Northlight",
     "MRP": "1299", "Front Image": image(f"{CDN}/f.jpg"), "Side Image": image(f"{CDN}/s.jpg"),
     "Additional Image 1": image(f"{CDN}/a.jpg")},
    {"styleGroupId": "1", "vendorSkuCode": "MUG-RED", "vendorArticleName": "Mug, red",
     "Front Image": image(f"{CDN}/r.jpg"), "Back Image": image(f"{CDN}/rb.jpg")},
    above=f"Version : 4{',' * 35}\n{',' * 35}\n",
)  # fmt: skip

_GOOGLE_IMAGES = ("image_link", "additional_image_link")
MARKETS = (
    PlatformFile(
        "google, tabs", "google", export(_GOOGLE, *GOOGLE_ROWS, sep="\t", eol="\r\n"), _GOOGLE_IMAGES, "title", "id"
    ),
    PlatformFile("google, commas", "google", export(_GOOGLE, *GOOGLE_ROWS), _GOOGLE_IMAGES, "title", "id"),
    PlatformFile(
        "google, with blanks", "google",
        export(_SPACED, {"id": "1", "title": "Mug", "link": "https://shop.example/1",
                         "image link": image(f"{CDN}/1.jpg"),
                         "additional image link": image(f"{CDN}/2.jpg", f"{CDN}/3.jpg", by=",")}, sep="\t", end=False),
        ("image link", "additional image link"), "title", "id",
    ),
    PlatformFile(
        "meta", "google",
        export(_META, {**META_ROW, "image_link": image(f"{CDN}/1.jpg"),
                       "additional_image_link": image(f"{CDN}/2.jpg", f"{CDN}/3.jpg", by=",")},
               {"id": "1", "title": "Lamp", "image_link": image(f"{CDN}/lamp.jpg")}, above=_META_REMARKS + "\n"),
        _GOOGLE_IMAGES, "title", "id", header_line=2,
    ),
    PlatformFile(
        "meta, indexed", "meta",
        export(_META_INDEXED, {**META_ROW, "image[0].url": image(f"{CDN}/1.jpg"), "image[0].tag[0]": "Summer",
                               "image[1].url": image(f"{CDN}/2.jpg")},
               above="# Required,# Required,# Required" + ",# Optional" * 18 + "\r\n", eol="\r\n"),
        ("image[0].url", "image[1].url"), "title", "id", header_line=2,
    ),
    PlatformFile(
        "pinterest", "google",
        export("id;title;description;link;image_link;price;availability;condition;google_product_category;product_type;"
               "additional_image_link;sale_price;brand;item_group_id;color;size;gtin;mpn;average_review_rating;"
               "number_of_reviews;free_shipping_label;free_shipping_limit",
               {"id": "P1", "title": "Mug", "link": "https://shop.example/1", "image_link": image(f"{CDN}/1.jpg"),
                "additional_image_link": image(f"{CDN}/2.jpg", f"{CDN}/3.jpg", by=",")}),
        _GOOGLE_IMAGES, "title", "id",
    ),
    PlatformFile(
        "ebay, drafts", "ebay",
        _EBAY_INFO + export(_EBAY_DRAFT,
                            ["Draft", "M-1", "20625", "Mug", "", "12.50", "3",
                             image(f"{CDN}/1.jpg", f"{CDN}/2.JPG", f"{CDN}/3?id=7", by="|"), "NEW", HTML, "FixedPrice"],
                            ["Draft", "M-2", "20625", "Lamp", "", "40", "1", "", "USED", "", "FixedPrice"], eol="\r\n"),
        ("Item photo URL",), "Title", "Custom label (SKU)", header_line=5,
    ),
    PlatformFile(
        "ebay, file exchange", "ebay",
        "#INFO;Version=1.0;;Template=fx_category_template\r\n" + export(
            _EBAY_EXCHANGE,
            {"CustomLabel": "M-1", "*Title": "Mug; blue", "PicURL": image(f"{CDN}/1.jpg", f"{CDN}/2.jpg", by="|"),
             "*Description": HTML, "*StartPrice": "12,50"},
            {"Relationship": "Variation", "RelationshipDetails": "Colour=Blue", "CustomLabel": "M-1-B",
             "PicURL": image(f"{CDN}/b.jpg")}, sep=";", eol="\r\n"),
        ("PicURL",), "*Title", "CustomLabel", header_line=2,
    ),
    PlatformFile(
        "ebay, active listings", "ebay",
        BOM + export(_EBAY_ACTIVE,
                     {"Item number": "110551", "Title": "Mug", "Available quantity": "3", "Currency": "USD",
                      "Item photo URL": image(f"{CDN}/1.jpg")}, {"Item number": "110552", "Title": "Lamp"},
                     quoted="all"),
        ("Item photo URL",), "Title", "Item number",  # its labels are empty
    ),
    PlatformFile(
        "amazon", "amazon",
        _amazon(_AMAZON_FIRST + "\t".join(columns(_AMAZON_NAMES)) + "\r\n", _AMAZON_KEYS, _AMAZON_KEYS),
        AMAZON_IMAGES, "item_name", "item_sku", header_line=3, encoding="cp1252",
    ),
    PlatformFile(
        "amazon, names alone", "amazon", _amazon("", _AMAZON_NAMES, _AMAZON_KEYS),
        ("Main Image URL", *columns(numbered("Other Image URL#", 8)), "Swatch Image URL"), "Product Name", "Seller SKU",
    ),
    PlatformFile("myntra", "general", MYNTRA, MYNTRA_IMAGES, "vendorArticleName", "vendorSkuCode", header_line=3),
)  # fmt: skip

"""The exports of shop systems: hosted ones, WooCommerce, Magento, BigCommerce, PrestaShop."""

from platform_files import PlatformFile, export, image, numbered

CDN = "https://cdn.shop.example/s/files/1/0042/7311"
HTML = '<p>Holds 0.4 l – "dishwasher proof".</p>\n<ul><li>blue, glazed</li>\n<li>stoneware</li></ul>'
BOM = "\ufeff"

_GOOGLE = numbered("Google Shopping / Custom Label #", 4)
SHOPIFY = export(
    "Handle;Title;Body (HTML);Vendor;Product Category;Type;Tags;Published;Option1 Name;Option1 Value;Option1 Linked To;"
    "Option2 Name;Option2 Value;Option2 Linked To;Option3 Name;Option3 Value;Option3 Linked To;Variant SKU;"
    "Variant Grams;Variant Inventory Tracker;Variant Inventory Qty;Variant Inventory Policy;"
    "Variant Fulfillment Service;Variant Price;Variant Compare At Price;"
    "Variant Requires Shipping;Variant Taxable;Variant Barcode;Image Src;Image Position;"
    "Image Alt Text;Gift Card;SEO Title;SEO Description;Google Shopping / Google Product Category;"
    f"Google Shopping / Gender;Google Shopping / Age Group;Google Shopping / MPN;{_GOOGLE};"
    "Color (product.metafields.shopify.color-pattern);Variant Image;Variant Weight Unit;Variant Tax Code;Cost per item;"
    "Included / International;Price / International;Compare At Price / International;Status",
    {"Handle": "blue-mug", "Title": "Mug, “Tide”", "Body (HTML)": HTML, "Vendor": "Northlight", "Published": "true",
     "Option1 Name": "Size", "Option1 Value": "S", "Variant SKU": "'TIDE-S", "Variant Price": "12.50",
     "Variant Barcode": "-Mug", "Image Src": image(f"{CDN}/files/tide-front.jpg?v=1712006471"), "Image Position": "1",
     "Image Alt Text": "=front", "Variant Image": image(f"{CDN}/files/tide_s.png?v=1712006472"), "Status": "active"},
    {"Handle": "blue-mug", "Option1 Value": "M", "Variant SKU": "TIDE-M", "Variant Price": "14.50",
     "Image Src": image(f"{CDN}/files/tide-side.jpg?v=1712006473"), "Image Position": "2"},
    {"Handle": "blue-mug", "Option1 Value": "L", "Variant SKU": "TIDE-L", "Variant Price": "16.50"},
    {"Handle": "gift-card", "Title": "Gift card", "Published": "false", "Gift Card": "true", "Status": "draft"},
    {"Handle": "lamp", "Title": "Lamp", "Image Src": image(f"{CDN}/products/w_300,h_200/lamp.webp"),
     "Image Position": "1"},
)  # fmt: skip

SHOPIFY_2025 = export(
    "Title;URL handle;Description;Vendor;Product category;Type;Tags;Published on online store;Status;SKU;Barcode;"
    "Option1 name;Option1 value;Option1 Linked To;Option2 name;Option2 value;Option2 Linked To;Option3 name;"
    "Option3 value;Option3 Linked To;Price;Compare-at price;Cost per item;Charge tax;Tax code;Unit price total measure;"
    "Unit price total measure unit;Unit price base measure;Unit price base measure unit;Inventory tracker;"
    "Inventory quantity;Continue selling when out of stock;Weight value (grams);Weight unit for display;"
    "Requires shipping;Fulfillment service;Product image URL;Image position;Image alt text;Variant image URL;Gift card;"
    "SEO title;SEO description;Color (product.metafields.shopify.color-pattern);"
    "Google Shopping / Google product category;Google Shopping / Gender;Google Shopping / Condition;"
    f"Google Shopping / Custom product;{_GOOGLE}",
    {"Title": "Mug “Tide”", "URL handle": "tide", "Description": HTML, "SKU": "T-1", "Price": "12.50",
     "Product image URL": image(f"{CDN}/files/1.jpg"), "Image position": "1",
     "Variant image URL": image(f"{CDN}/files/2.jpg")},
    {"URL handle": "tide", "Product image URL": image(f"{CDN}/files/3.jpg"), "Image position": "2"},
    {"URL handle": "tide", "SKU": "T-2", "Variant image URL": image(f"{CDN}/files/4.jpg")},
    eol="\r\n",
)  # fmt: skip

_WIX_OPTIONS = ";".join(f"productOptionName{n};productOptionType{n};productOptionDescription{n}" for n in range(1, 7))
_WIX_INFO = ";".join(f"additionalInfoTitle{n};additionalInfoDescription{n}" for n in range(1, 7))
WIX = BOM + export(
    "handleId;fieldType;name;description;productImageUrl;collection;sku;ribbon;price;surcharge;visible;discountMode;"
    f"discountValue;inventory;weight;cost;{_WIX_OPTIONS};{_WIX_INFO};customTextField1;customTextCharLimit1;"
    "customTextMandatory1;customTextField2;customTextCharLimit2;customTextMandatory2;brand",
    {"handleId": "product_2f1a", "fieldType": "Product", "name": "Mug", "description": HTML,
     "productImageUrl": image("7a1c04_5d1f~mv2.jpg", "7a1c04_99e0~mv2_d_3000_2000_s_4_2.png", by=";"),
     "collection": "Kitchen;Gifts", "price": "12.5", "visible": "true", "inventory": "InStock",
     "productOptionName1": "Size", "productOptionType1": "DROP_DOWN", "productOptionDescription1": "S;M"},
    {"handleId": "product_2f1a", "fieldType": "Variant", "surcharge": "0", "productOptionDescription1": "S"},
    {"handleId": "product_77bd", "fieldType": "Product", "name": "Lamp",
     "productImageUrl": image("https://static.wixstatic.com/media/7a1c04_aa.jpg")},
    eol="\r\n",
)  # fmt: skip
WIX_V3 = BOM + export(
    "handle;fieldType;name;visible;plainDescription;mediaUrl;mediaAltText;ribbon;brand;price;strikethroughPrice;"
    "baseUnit;baseUnitMeasurement;totalUnits;totalUnitsMeasurement;cost;inventory;preOrderEnabled;preOrderMessage;"
    "preOrderLimit;sku;barcode;weight;productOptionName[1];productOptionType[1];productOptionChoices[1];"
    "productOptionName[2];productOptionType[2];productOptionChoices[2];modifierName[1];infoSectionTitle[1]",
    {"handle": "mug", "fieldType": "PRODUCT", "name": "Mug", "visible": "TRUE", "plainDescription": HTML,
     "mediaUrl": image("https://static.wixstatic.com/media/7a1c04_1.jpg"), "price": "12.5"},
    {"handle": "mug", "fieldType": "VARIANT", "price": "13", "sku": "M-1", "productOptionChoices[1]": "S"},
    {"handle": "mug", "fieldType": "MEDIA", "mediaUrl": image("https://static.wixstatic.com/media/7a1c04_2.jpg")},
    {"handle": "mug", "fieldType": "MEDIA", "mediaUrl": image("7a1c04_3~mv2.jpg"), "mediaAltText": "from above"},
)  # fmt: skip

_SQUARE = "https://images.squarespace-cdn.example/content/v1/5f1"
_SQUARE_OPTIONS = ";".join(f"Option Name {n};Option Value {n}" for n in range(1, 7))
_SQUARESPACE = (
    "Product ID [Non Editable];Variant ID [Non Editable];Product Type [Non Editable];Product Page;Product URL;Title;"
    f"Description;SKU;{_SQUARE_OPTIONS};Price;Sale Price;On Sale;Stock;Categories;Tags;Weight;Length;Width;Height;"
    "Visible;Hosted Image URLs"
)


def _squarespace(by: str) -> str:
    return export(
        _SQUARESPACE,
        {"Product ID [Non Editable]": "5f1c0ab2", "Variant ID [Non Editable]": "77-1", "Title": "Mug",
         "Product Type [Non Editable]": "PHYSICAL", "Product Page": "shop", "Product URL": "mug", "Description": HTML,
         "SKU": "SQ1", "Option Name 1": "Size", "Option Value 1": "S", "Price": "12.00", "Stock": "Unlimited",
         "Hosted Image URLs": image(f"{_SQUARE}/a/Mug+front.jpg", f"{_SQUARE}/b/side.png", f"{_SQUARE}/c.jpg", by=by)},
        {"Variant ID [Non Editable]": "77-2", "SKU": "SQ2", "Option Value 1": "M", "Price": "14.00", "Stock": "3"},
    )  # fmt: skip


_MAGENTO = (
    "sku;store_view_code;attribute_set_code;product_type;categories;product_websites;name;description;"
    "short_description;weight;product_online;tax_class_name;visibility;price;special_price;special_price_from_date;"
    "special_price_to_date;url_key;meta_title;meta_keywords;meta_description;base_image;base_image_label;small_image;"
    "small_image_label;thumbnail_image;thumbnail_image_label;swatch_image;swatch_image_label;created_at;updated_at;"
    "new_from_date;new_to_date;display_product_options_in;map_price;msrp_price;map_enabled;gift_message_available;"
    "custom_design;page_layout;additional_attributes;qty;out_of_stock_qty;use_config_min_qty;is_qty_decimal;"
    "allow_backorders;min_cart_qty;max_cart_qty;is_in_stock;manage_stock;website_id;related_skus;crosssell_skus;"
    "upsell_skus;additional_images;additional_image_labels;hide_from_product_page;bundle_price_type;"
    "configurable_variations;configurable_variation_labels;associated_skus"
)


def _magento(base: str) -> str:
    one = image(f"{base}/m/u/mug_1.jpg")
    return export(
        _MAGENTO,
        {"sku": "24-MB01", "attribute_set_code": "Default", "product_type": "simple", "name": "Mug", "price": "12.5000",
         "description": HTML, "categories": "Default Category/Kitchen,Default Category/Gifts", "base_image": one,
         "base_image_label": "Image", "small_image": one, "thumbnail_image": one, "created_at": "11/3/24, 9:12 AM",
         "additional_attributes": 'color=Blue,material="Stoneware"',
         "additional_images": image(f"{base}/m/u/mug_2.jpg", f"{base}/m/u/mug_3.jpg", by=","),
         "additional_image_labels": "Side,Top"},
        {"sku": "24-MB01", "store_view_code": "de", "name": "Becher"},
        {"sku": "24-MB02", "name": "Lamp", "base_image": image(f"{base}/l/a/lamp.jpg"),
         "swatch_image": image(f"{base}/l/a/lamp.jpg"), "hide_from_product_page": "swatch.jpg"},
        quoted="blanks",
    )  # fmt: skip


_MAGENTO_IMAGES = ("base_image", "small_image", "thumbnail_image", "swatch_image", "additional_images")

BIGCOMMERCE = export(
    "Item;ID;Name;Type;SKU;Options;Inventory Tracking;Current Stock;Low Stock;Price;Cost Price;Retail Price;Sale Price;"
    "Brand ID;Channels;Categories;Description;Custom Fields;Page Title;Product URL;Meta Description;Search Keywords;"
    "Meta Keywords;Bin Picking Number;UPC/EAN;Global Trade Number;Manufacturer Part Number;Free Shipping;"
    "Fixed Shipping Cost;Weight;Width;Height;Depth;Is Visible;Is Featured;Warranty;Tax Class;Product Condition;"
    "Show Product Condition;Sort Order;Variant Image URL;Internal Image URL (Export);Image URL (Import);"
    "Image Description;Image is Thumbnail;Image Sort Order;YouTube ID;Video Title;Video Description;Video Sort Order",
    {"Item": "Product", "ID": "77", "Name": "[Sample] Mug", "Type": "physical", "SKU": "SM", "Price": "12.5",
     "Description": HTML, "Custom Fields": '"Material=Stoneware";"Colour=Blue"', "Product URL": "/mug/"},
    {"Item": "Variant", "ID": "65", "SKU": "SM-S", "Options": "Type=Rectangle|Name=Size|Value=S"},
    {"Item": "Image", "ID": "266", "Image is Thumbnail": "TRUE", "Image URL (Import)": "⟦⟧", "Image Sort Order": "0",
     "Internal Image URL (Export)": "⟨https://cdn11.shop.example/s-x/products/77/images/266/a.386.513.jpg?c=1⟩"},
    {"Item": "Image", "ID": "267", "Image is Thumbnail": "FALSE", "Image URL (Import)": "⟦⟧",
     "Internal Image URL (Export)": "⟨https://cdn11.shop.example/s-x/products/77/images/267/b-c.jpg?c=1⟩"},
    eol="\r\n",
)  # fmt: skip


_LEGACY = (
    "Item Type;Product ID;Product Name;Product Type;Product Code/SKU;Bin Picking Number;Brand Name;Option Set;"
    "Option Set Align;Product Description;Price;Cost Price;Retail Price;Sale Price;Fixed Shipping Cost;Free Shipping;"
    "Product Warranty;Product Weight;Product Width;Product Height;Product Depth;Allow Purchases?;Product Visible?;"
    "Product Availability;Track Inventory;Current Stock Level;Low Stock Level;Category;%s;Search Keywords;Page Title;"
    "Meta Keywords;Meta Description;Product Condition;Show Product Condition?;Event Date Required?;Sort Order;"
    "Product Tax Class;Product UPC/EAN;Stop Processing Rules;Product URL;Redirect Old URL?;GPS Global Trade Item Number"
)
_LEGACY_URLS = ";".join(
    f"Product Image File - {n};Product Image URL - {n};Product Image ID - {n};Product Image File - {n};"
    f"Product Image Description - {n};Product Image Is Thumbnail - {n};Product Image Sort - {n}"
    for n in (1, 2)
)
_LEGACY_FILES = ";".join(
    f"Product Image ID - {n};Product Image File - {n};Product Image Description - {n};"
    f"Product Image Is Thumbnail - {n};Product Image Sort - {n}"
    for n in (1, 2, 3)
)


def _legacy(images: str, *cells: tuple[str, str, list[str]]) -> str:
    width = len((_LEGACY % "x").split(";")) - 1
    before = _LEGACY.split(";").index("%s")
    rows = [
        ["Product", id_, name, "P", f"SKU{id_}", *[""] * 4, HTML, "12.50", *[""] * (before - 11), *filled,
         *[""] * (width - before)]
        for id_, name, filled in cells
    ]  # fmt: skip
    return export(_LEGACY % images, *rows, quoted="all")


_OLD = "https://cdn11.shop.example/product_images/s"
BIGCOMMERCE_URLS = _legacy(
    _LEGACY_URLS,
    ("31", "Mug", ["mug_1.jpg", image(f"{_OLD}/mug_1.jpg"), "301", "s/194/mug_1__7.jpg", "Front", "Y", "0",
                   "mug_2.jpg", image(f"{_OLD}/mug_2.jpg"), "302", "s/194/mug_2__8.jpg", "", "N", "1"]),
    ("32", "Lamp", ["lamp.png", image(f"{_OLD}/lamp.png"), "303", "t/7/lamp__9.png", "", "Y", "0", *[""] * 7]),
)  # fmt: skip
BIGCOMMERCE_FILES = _legacy(
    _LEGACY_FILES,
    ("31", "Mug", ["301", image(f"{_OLD}/mug_1.jpg"), "Front", "Y", "0", "302", image(f"{_OLD}/mug_2.jpg"), "", "N",
                   "1", *[""] * 5]),
    ("32", "Lamp", [""] * 15),
)  # fmt: skip

_PRESTASHOP = (
    "Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax excluded;Tax rules ID;Wholesale price;"
    "On sale (0/1);Discount amount;Discount percent;Discount from (yyyy-mm-dd);Discount to (yyyy-mm-dd);Reference #;"
    "Supplier reference #;Supplier;Manufacturer;EAN13;UPC;MPN;Ecotax;Width;Height;Depth;Weight;"
    "Delivery time of in-stock products:;Quantity;Minimal quantity;Low stock level;Visibility;Additional shipping cost;"
    "Unity;Unit price;Summary;Description;Tags (x,y,z...);Meta title;Meta keywords;Meta description;URL rewritten;"
    "Text when in stock;Text when backorder allowed;Available for order (0 = No, 1 = Yes);Product available date;"
    "Product creation date;Show price (0 = No, 1 = Yes);Image URLs (x,y,z...);Image alt texts (x,y,z...);"
    "Delete existing images (0 = No, 1 = Yes);Feature(Name:Value:Position);Available online only (0 = No, 1 = Yes);"
    "Condition;Customizable (0 = No, 1 = Yes);Uploadable files (0 = No, 1 = Yes);Text fields (0 = No, 1 = Yes);"
    "Out of stock action;Virtual product;File URL;Number of allowed downloads;Expiration date;Number of days;"
    "ID / Name of shop;Advanced stock management;Depends On Stock;Warehouse;Accessories (x,y,z...)"
)


def _prestashop(by: str, eol: str) -> str:
    return export(
        _PRESTASHOP,
        {"Product ID": "1", "Active (0/1)": "1", "Name *": "Mug", "Categories (x,y,z...)": "Home,Kitchen",
         "Price tax excluded": "12,50", "Reference #": "demo_1", "Summary": HTML, "Quantity": "300",
         "Image URLs (x,y,z...)": image(f"{CDN}/1.jpg", f"{CDN}/2,2.jpg", f"{CDN}/3.jpg", by=by),
         "Image alt texts (x,y,z...)": "Front,Side;Top"},
        {"Product ID": "2", "Active (0/1)": "0", "Name *": "Lamp; tall"},
        sep=";", eol=eol,
    )  # fmt: skip


SHOPS = (
    PlatformFile(
        "shopify", "shopify", SHOPIFY, ("Image Src", "Variant Image"), "Title", "Handle",
        rows=(("blue-mug", "Mug, “Tide”"), ("blue-mug", "Mug, “Tide”"), ("blue-mug", "Mug, “Tide”"),
              ("gift-card", "Gift card"), ("lamp", "Lamp")),
    ),
    PlatformFile(
        "shopify 2025", "shopify", SHOPIFY_2025, ("Product image URL", "Variant image URL"), "Title", "URL handle",
        rows=(("tide", "Mug “Tide”"),) * 3,
    ),
    PlatformFile(
        "wix classic", "wix", WIX, ("productImageUrl",), "name", "handleId", "https://static.wixstatic.com/media/",
        rows=(("product_2f1a", "Mug"), ("product_2f1a", "Mug"), ("product_77bd", "Lamp")),
    ),
    PlatformFile(
        "wix v3", "wix", WIX_V3, ("mediaUrl",), "name", "handle", "https://static.wixstatic.com/media/",
        rows=(("mug", "Mug"),) * 4,
    ),
    PlatformFile(
        "squarespace, blanks", "squarespace", _squarespace(" "), ("Hosted Image URLs",), "Title",
        "Product ID [Non Editable]",
    ),
    PlatformFile(
        "squarespace, line ends", "squarespace", _squarespace("\n"), ("Hosted Image URLs",), "Title",
        "Product ID [Non Editable]",
    ),
    PlatformFile(
        "magento, urls", "magento", _magento("https://shop.example/media/catalog/product"), _MAGENTO_IMAGES, "name",
        "sku", rows=(("24-MB01", "Mug"), ("24-MB01", "Becher"), ("24-MB02", "Lamp")),
    ),
    PlatformFile(
        "magento, paths", "magento", _magento(""), _MAGENTO_IMAGES, "name", "sku",
        "https://shop.example/pub/media/catalog/product", asks=True,
    ),
    PlatformFile("bigcommerce", "bigcommerce", BIGCOMMERCE, ("Internal Image URL (Export)",), "Name", "ID"),
    PlatformFile(
        "bigcommerce legacy, urls", "bigcommerce", BIGCOMMERCE_URLS,
        ("Product Image URL - 1", "Product Image URL - 2"), "Product Name", "Product ID",
    ),
    PlatformFile(
        "bigcommerce legacy, files", "bigcommerce", BIGCOMMERCE_FILES,
        tuple(f"Product Image File - {n}" for n in (1, 2, 3)), "Product Name", "Product ID",
    ),
    PlatformFile(
        "prestashop", "prestashop", _prestashop(",", "\r\n"), ("Image URLs (x,y,z...)",), "Name *", "Product ID"
    ),
    PlatformFile(
        "thirty bees", "prestashop", _prestashop(";", "\n"), ("Image URLs (x,y,z...)",), "Name *", "Product ID"
    ),
)  # fmt: skip

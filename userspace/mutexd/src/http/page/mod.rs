// SPDX-License-Identifier: MIT OR Apache-2.0

//! The live page: three files that are part of the program, and nothing from anywhere else.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

use super::answer::of_type;
use crate::config::Page;

/// Path, media type and content.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page.js")),
];

pub fn routes(settings: &Page) -> Router {
    if !settings.enabled {
        return Router::new();
    }
    FILES.into_iter().fold(Router::new(), |router, (path, media_type, content)| {
        router.route(path, get(async move || of_type(media_type, StatusCode::OK, content)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_from_elsewhere_and_nothing_is_written_as_html() {
        for (path, _, content) in FILES {
            for outside in ["http:", "https:", "//cdn", "url(", "@import"] {
                let found = content.replace("http://www.w3.org/2000/svg", "").contains(outside);
                assert!(!found, "{outside} in {path}");
            }
            for dangerous in
                ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "style="]
            {
                assert!(!content.contains(dangerous), "{dangerous} in {path}");
            }
        }
        let (_, _, html) = FILES[0];
        assert!(!html.contains("onclick") && !html.contains("<style"));
        // Everything that the script asks for by its id is there.
        let (_, _, script) = FILES[2];
        let ids = script.split("byId(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let mut count = 0;
        for id in ids {
            assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
            count += 1;
        }
        assert!(count > 5, "{count}");
    }
}

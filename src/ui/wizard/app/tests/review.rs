//! Welcome, product, review, and what lies over pages.

use super::*;

#[test]
fn look() {
    for size in [(80, 24), (120, 40), (40, 12)] {
        let mut app = wizard(size);
        println!("{}", screen(&app));
        press(&mut app, "Enter");
        println!("{}", screen(&app));
        press(&mut app, "Enter");
        app.place = Place::Review;
        app.resize(size.0, size.1);
        settle(&mut app);
        println!("{}", screen(&app));
        press(&mut app, "Enter");
        println!("{}", screen(&app));
    }
}
